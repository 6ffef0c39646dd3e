//! One ring as two sides that step in any order, with what each has written on its way to memory.
//!
//! A store waits in its side's buffer until it arrives; loads, in the order of the program, see
//! what has arrived, or what their own side has written. A fence waits until the buffer is empty,
//! and so does a call into the kernel. In [`Memory::Strong`] stores arrive in order, as on x86; in
//! [`Memory::Weak`] in any order, but that one with release comes after those before it, as on
//! aarch64. Not in the model: loads that a processor takes out of order.
//!
//! Nothing is counted but by numbers that come round, so there is no last packet: what is checked
//! holds for ever.

use stateright::{Model, Property};

/// The slots of the ring are 2^this at most.
const MOST: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Strong,
    Weak,
}

/// When a sleeper looks again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LateLook {
    Never,
    /// Once: when what the other side had written before the sleep has arrived. That is what a
    /// millisecond is for.
    AfterStores,
    /// Once, at any time.
    Early,
}

/// What is right is in [`Protocol::RIGHT`]; each test says what it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// The bits of a counter; 16 in the protocol.
    pub(crate) bits: u8,
    pub(crate) log2_size: u8,
    /// From a master to a slave: the receiver offers slots before any is used.
    pub(crate) to_slave: bool,
    pub(crate) memory: Memory,
    /// The sender: publishes with release; has a fence between publishing and looking at the flag.
    pub(crate) release: bool,
    pub(crate) sender_fence: bool,
    /// The receiver: clears the event before it looks for the last time; has a fence between arming
    /// and that look; looks at all; looks again while it sleeps.
    pub(crate) clears_first: bool,
    pub(crate) receiver_fence: bool,
    pub(crate) second_look: bool,
    pub(crate) late_look: LateLook,
}

impl Protocol {
    pub(crate) const RIGHT: Self = Self {
        bits: 2,
        log2_size: 1,
        to_slave: false,
        memory: Memory::Weak,
        release: true,
        sender_fence: true,
        clears_first: true,
        receiver_fence: true,
        second_look: true,
        late_look: LateLook::AfterStores,
    };

    fn size(&self) -> u8 {
        1 << self.log2_size
    }

    /// A counter, and the difference of two, as so many bits hold it.
    fn wrap(&self, counter: u8) -> u8 {
        counter & ((1 << self.bits) - 1)
    }

    fn slot(&self, counter: u8) -> usize {
        (counter & (self.size() - 1)).into()
    }

    /// Packets have numbers that come round later than the counters.
    fn number(&self, number: u8) -> u8 {
        number & ((4 << self.bits) - 1)
    }

    /// Slots that the sender may fill.
    fn free(&self, sent: u8, given_back: u8) -> u8 {
        if self.to_slave {
            self.wrap(given_back.wrapping_sub(sent))
        } else {
            self.size()
                .wrapping_sub(self.wrap(sent.wrapping_sub(given_back)))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Slot(u8),
    Published,
    GivenBack,
    /// Whether the receiver wants to be woken.
    Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Store {
    place: Place,
    value: u8,
    release: bool,
    /// Written before the receiver fell asleep.
    old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sender {
    Idle,
    /// Has published, and looks next whether the receiver wants to be woken.
    Looks,
    Wakes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Receiver {
    Looks,
    Takes,
    Clears,
    Arms,
    LooksAgain,
    FallsAsleep,
    Sleeps,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    slots: [u8; MOST],
    published: u8,
    given_back: u8,
    wanted: bool,
    event: bool,

    sender: Sender,
    /// Its own counter, and the number of its last packet.
    sent: u8,
    last: u8,
    sender_stores: Vec<Store>,

    receiver: Receiver,
    /// Its own counters: what it has read, the other side's as last seen, what it has given back.
    next: u8,
    seen: u8,
    returned: u8,
    /// The number of the packet that it read last.
    read: u8,
    armed: bool,
    late_look: bool,
    receiver_stores: Vec<Store>,

    wrong: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send(u8),
    LookAtFlag,
    WriteEvent,
    /// A store of the sender's, or of the receiver's, arrives in memory.
    SenderStoreArrives(usize),
    ReceiverStoreArrives(usize),
    Look,
    Take(u8),
    ClearEvent,
    Arm,
    LookAgain,
    FallAsleep,
    Wake,
    LateLook,
}

impl State {
    fn write(&mut self, store: Store) {
        match store.place {
            Place::Slot(slot) => self.slots[usize::from(slot)] = store.value,
            Place::Published => self.published = store.value,
            Place::GivenBack => self.given_back = store.value,
            Place::Wanted => self.wanted = store.value != 0,
        }
    }

    fn look(&mut self, protocol: &Protocol) -> bool {
        self.seen = self.published;
        let found = self.seen != self.next;
        if protocol.wrap(self.seen.wrapping_sub(self.next)) > protocol.size() {
            self.wrong = true;
        }
        if found {
            if self.armed {
                self.armed = false;
                self.receiver_stores.push(store(Place::Wanted, 0, false));
            }
            self.receiver = Receiver::Takes;
        }
        found
    }

    /// It sleeps on packets, and nothing is on its way that would wake it.
    pub(crate) fn is_lost(&self) -> bool {
        self.receiver == Receiver::Sleeps
            && self.published != self.next
            && !self.event
            && !self.late_look
            && self.sender == Sender::Idle
            && self.sender_stores.is_empty()
    }
}

fn store(place: Place, value: u8, release: bool) -> Store {
    Store {
        place,
        value,
        release,
        old: false,
    }
}

/// Which of these stores may arrive next.
fn arriving(stores: &[Store], memory: Memory) -> impl Iterator<Item = usize> {
    (0..stores.len()).filter(move |&i| {
        let before = &stores[..i];
        i == 0
            || memory == Memory::Weak
                && !stores[i].release
                && before.iter().all(|other| other.place != stores[i].place)
    })
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let offered = if self.to_slave { self.size() } else { 0 };
        vec![State {
            slots: [0; MOST],
            published: 0,
            given_back: self.wrap(offered),
            wanted: false,
            event: false,
            sender: Sender::Idle,
            sent: 0,
            last: 0,
            sender_stores: Vec::new(),
            receiver: Receiver::Looks,
            next: 0,
            seen: 0,
            returned: self.wrap(offered),
            read: 0,
            armed: false,
            late_look: false,
            receiver_stores: Vec::new(),
            wrong: false,
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        let sender_done = s.sender_stores.is_empty();
        let receiver_done = s.receiver_stores.is_empty();
        match s.sender {
            Sender::Idle => {
                let free = self.free(s.sent, s.given_back).min(self.size());
                actions.extend((1..=free).map(Action::Send));
            }
            Sender::Looks if sender_done || !self.sender_fence => actions.push(Action::LookAtFlag),
            Sender::Wakes if sender_done => actions.push(Action::WriteEvent),
            Sender::Looks | Sender::Wakes => {}
        }
        match s.receiver {
            Receiver::Looks => actions.push(Action::Look),
            Receiver::Takes => {
                let published = self.wrap(s.seen.wrapping_sub(s.next)).min(self.size());
                actions.extend((1..=published).map(Action::Take));
            }
            Receiver::Clears if receiver_done => actions.push(Action::ClearEvent),
            Receiver::Arms => actions.push(Action::Arm),
            Receiver::LooksAgain if receiver_done || !self.receiver_fence => {
                actions.push(Action::LookAgain);
            }
            Receiver::FallsAsleep if receiver_done => actions.push(Action::FallAsleep),
            Receiver::Sleeps => {
                if s.event {
                    actions.push(Action::Wake);
                }
                let early = self.late_look == LateLook::Early;
                if s.late_look && (early || s.sender_stores.iter().all(|store| !store.old)) {
                    actions.push(Action::LateLook);
                }
            }
            Receiver::Clears | Receiver::LooksAgain | Receiver::FallsAsleep => {}
        }
        let sender = arriving(&s.sender_stores, self.memory);
        actions.extend(sender.map(Action::SenderStoreArrives));
        let receiver = arriving(&s.receiver_stores, self.memory);
        actions.extend(receiver.map(Action::ReceiverStoreArrives));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut s = before.clone();
        match action {
            Action::Send(count) => {
                for _ in 0..count {
                    s.last = self.number(s.last + 1);
                    let slot = Place::Slot(self.slot(s.sent) as u8);
                    s.sender_stores.push(store(slot, s.last, false));
                    s.sent = self.wrap(s.sent + 1);
                }
                let counter = store(Place::Published, s.sent, self.release);
                s.sender_stores.push(counter);
                s.sender = Sender::Looks;
            }
            Action::LookAtFlag => {
                s.sender = if s.wanted {
                    Sender::Wakes
                } else {
                    Sender::Idle
                };
            }
            Action::WriteEvent => {
                s.event = true;
                s.sender = Sender::Idle;
            }
            Action::SenderStoreArrives(i) => {
                let store = s.sender_stores.remove(i);
                s.write(store);
            }
            Action::ReceiverStoreArrives(i) => {
                let store = s.receiver_stores.remove(i);
                s.write(store);
            }
            Action::Look => {
                if !s.look(self) {
                    s.receiver = if self.clears_first {
                        Receiver::Clears
                    } else {
                        Receiver::Arms
                    };
                }
            }
            Action::Take(count) => {
                for _ in 0..count {
                    s.read = self.number(s.read + 1);
                    s.wrong |= s.slots[self.slot(s.next)] != s.read;
                    s.next = self.wrap(s.next + 1);
                    s.returned = self.wrap(s.returned + 1);
                }
                let counter = store(Place::GivenBack, s.returned, true);
                s.receiver_stores.push(counter);
                s.receiver = Receiver::Looks;
            }
            Action::ClearEvent => {
                s.event = false;
                s.receiver = if self.clears_first {
                    Receiver::Arms
                } else {
                    Receiver::FallsAsleep
                };
            }
            Action::Arm => {
                if !s.armed {
                    s.armed = true;
                    s.receiver_stores.push(store(Place::Wanted, 1, false));
                    s.late_look = self.late_look != LateLook::Never;
                }
                s.receiver = if self.second_look {
                    Receiver::LooksAgain
                } else {
                    Receiver::FallsAsleep
                };
            }
            Action::LookAgain => {
                if !s.look(self) {
                    s.receiver = if self.clears_first {
                        Receiver::FallsAsleep
                    } else {
                        Receiver::Clears
                    };
                }
            }
            Action::FallAsleep => {
                for store in &mut s.sender_stores {
                    store.old = true;
                }
                s.receiver = Receiver::Sleeps;
            }
            Action::Wake => {
                s.event = false;
                s.receiver = Receiver::Looks;
            }
            Action::LateLook => {
                s.late_look = false;
                s.receiver = Receiver::Looks;
            }
        }
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(super::WHOLE, |_, s: &State| !s.wrong),
            Property::always(super::WOKEN, |_, s: &State| !s.is_lost()),
            Property::sometimes("it sleeps", |_, s: &State| s.receiver == Receiver::Sleeps),
            Property::sometimes("the ring is full", |protocol: &Self, s: &State| {
                protocol.wrap(s.published.wrapping_sub(s.next)) == protocol.size()
            }),
            Property::sometimes("a counter has come round", |_, s: &State| {
                s.published < s.next && s.last != 0
            }),
            Property::sometimes("so have the packets' numbers", |_, s: &State| {
                s.last < s.read
            }),
        ]
    }
}
