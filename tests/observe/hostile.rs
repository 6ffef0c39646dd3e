//! An end that wants to be observed, to do harm: an error for its link, and for no other.

use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, MetadataExt};

use memif::observe::{Link, Observer, RingReader};
use memif::{Eof, Error, ErrorKind, PacketSource};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::common::{Pair, pattern};
use crate::traffic::{Dice, link_of, only_link, own_links, turn};

const SLOTS: u64 = 64;
const HEAD: u64 = 6;
const TAIL: u64 = 64;
const NEXT: u16 = 1;

/// The file of rings, by one of this process's own descriptors.
fn rings(link: &Link) -> File {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is = |path: &std::path::PathBuf| {
        let named = std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("memfd"));
        named && std::fs::metadata(path).is_ok_and(|m| m.ino() == link.id().inode())
    };
    let path = open.map(|entry| entry.path()).find(is).unwrap();
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

struct Rings(File);

impl Rings {
    fn number(&self, at: u64) -> u16 {
        let mut bytes = [0; 2];
        self.0.read_exact_at(&mut bytes, at).unwrap();
        u16::from_ne_bytes(bytes)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.0.write_all_at(bytes, at).unwrap();
    }

    /// A descriptor of the first ring.
    fn describe(&self, slot: u64, flags: u16, region: u16, length: u32, offset: u32) {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&flags.to_ne_bytes());
        bytes[2..4].copy_from_slice(&region.to_ne_bytes());
        bytes[4..8].copy_from_slice(&length.to_ne_bytes());
        bytes[8..12].copy_from_slice(&offset.to_ne_bytes());
        self.write(128 + slot % SLOTS * 16, &bytes);
    }

    fn publish(&self, slots: u16) {
        let head = self.number(HEAD).wrapping_add(slots);
        self.write(HEAD, &head.to_ne_bytes());
    }
}

/// Reads all there is; what ended it.
fn end(ring: &mut RingReader) -> Error {
    loop {
        if let Err(e) = ring.read_packet() {
            return e;
        }
    }
}

#[track_caller]
fn broken(what: &str, harm: impl FnOnce(&Rings)) {
    let _turn = turn();
    let pair = Pair::small(6, 256);
    let link = link_of(&pair);
    let mut observer = Observer::of(&link).attach().unwrap();
    let rings = Rings(rings(&link));
    rings.describe(0, 0, 1, 60, 0);
    rings.publish(1);
    let [to_master, to_slave] = observer.rings() else {
        panic!("two rings");
    };
    assert_eq!(to_master.read_packet().unwrap().len(), 60);
    harm(&rings);
    let error = end(to_master);
    assert_eq!(error.kind(), ErrorKind::MalformedMessage, "{error}");
    assert!(error.to_string().contains(what), "{error}");
    // Once.
    assert!(end(to_master).is_eof());
    assert!(end(to_slave).is_eof());
}

#[test]
fn buffers_elsewhere() {
    broken("out of the memory", |rings| {
        rings.describe(1, 0, 9, 60, 0);
        rings.publish(1);
    });
    broken("out of the memory", |rings| {
        rings.describe(1, 0, 1, u32::MAX, 4);
        rings.publish(1);
    });
    broken("out of the memory", |rings| {
        rings.describe(1, NEXT, 1, 1, 0);
        rings.describe(2, 0, 1, 2, u32::MAX - 1);
        rings.publish(2);
    });
}

#[test]
fn counters_that_contradict_each_other() {
    broken("further apart", |rings| {
        rings.write(TAIL, &1000u16.to_ne_bytes());
        rings.publish(3000);
    });
}

#[test]
fn a_chain_without_an_end() {
    broken("longer than the ring", |rings| {
        for slot in 0..SLOTS {
            rings.describe(slot, NEXT, 1, 1, 0);
        }
        rings.write(TAIL, &1u16.to_ne_bytes());
        rings.publish(SLOTS as u16);
    });
}

#[test]
fn regions_that_are_not_there() {
    let _turn = turn();
    let pair = Pair::small(6, 256);
    let link = link_of(&pair);
    Rings(rings(&link)).describe(5, 0, 200, 1, 0);
    let error = Observer::of(&link).attach().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(
        error.to_string().contains("memory of its buffers"),
        "{error}"
    );
}

#[test]
fn rings_without_a_cookie_are_none() {
    let _turn = turn();
    let pair = Pair::small(6, 256);
    let link = link_of(&pair);
    let rings = Rings(rings(&link));
    rings.write(0, &[0; 4]);
    rings.write(128 + SLOTS * 16, &[0; 4]);
    assert!(own_links().is_empty());
}

/// Whatever is in the rings: nothing worse than an error, and nothing for another link.
#[test]
fn noise() {
    let _turn = turn();
    let good = Pair::new();
    let good_link = link_of(&good);
    let mut watching = Observer::of(&good_link).attach().unwrap();
    let mut dice = Dice(0x1234_5678_9abc_def1);
    for sent in 0..30 {
        // That of the round before may take a moment to go.
        only_link();
        let bad = Pair::small(6, 256);
        let links = own_links();
        let link = links.iter().find(|l| l.id() != good_link.id()).unwrap();
        let mut observer = Observer::of(link).attach().unwrap();
        let rings = Rings(rings(link));
        let size = rings.0.metadata().unwrap().len();
        for _ in 0..200 {
            let at = dice.below(size - 8);
            rings.write(at, &dice.below(u64::MAX).to_ne_bytes());
            if dice.below(4) == 0 {
                let start = size / 2 * dice.below(2);
                rings.write(start + HEAD, &(dice.below(65_536) as u16).to_ne_bytes());
                rings.write(start + TAIL, &(dice.below(65_536) as u16).to_ne_bytes());
            }
            for ring in observer.rings() {
                let error = end(ring);
                assert!(
                    error.is_eof() || error.kind() == ErrorKind::MalformedMessage,
                    "{error}"
                );
            }
            own_links_once(&mut dice);
        }
        let packet = pattern(sent, 100);
        good.slave
            .tx_queue(0)
            .unwrap()
            .tx_burst(&[&packet])
            .unwrap();
        let ring = &mut watching.rings()[0];
        assert_eq!(ring.read_packet().unwrap().data(), packet);
        drop(bad);
    }
    assert!(matches!(
        end(&mut watching.rings()[1]),
        Error::Eof(Eof::Empty)
    ));
}

/// Now and then, as it takes its time.
fn own_links_once(dice: &mut Dice) {
    if dice.below(100) == 0 {
        own_links();
    }
}

/// Memory that shrinks would kill whoever reads it.
#[test]
fn memory_that_could_shrink() {
    let _turn = turn();
    let file = {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        File::from(memfd_create("rings", MFdFlags::MFD_CLOEXEC).unwrap())
    };
    file.set_len(8192).unwrap();
    for ring in [0, 128 + 64 * 16] {
        file.write_all_at(&0x03E3_1F20_u32.to_ne_bytes(), ring)
            .unwrap();
    }
    let length = NonZeroUsize::new(8192).unwrap();
    let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let map = || {
        // SAFETY: a new mapping, that nothing refers to.
        unsafe { mmap(None, length, both, MapFlags::MAP_SHARED, &file, 0) }.unwrap()
    };
    let mappings = [map(), map()];
    let link = &only_link();
    assert!(
        link.problem().unwrap().contains("sealed"),
        "{:?}",
        link.problem()
    );
    assert!(link.rings().is_empty());
    let error = Observer::of(link).attach().unwrap_err();
    assert!(error.to_string().contains("sealed"), "{error}");
    for mapping in mappings {
        // SAFETY: nothing refers to it.
        unsafe { munmap(mapping, length.get()) }.unwrap();
    }
}
