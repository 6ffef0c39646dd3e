//! A case: one thing that a hostile peer does.

use crate::target::{Role, Target};

/// What a case breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Every value of shared memory is read once, checked, used.
    ReadOnce,
    /// The slave keeps its own descriptors.
    OwnDescriptors,
    /// Region, offset and length of a descriptor.
    Descriptor,
    /// At most as many slots as the ring has; chains end within what is published.
    Counters,
    Region,
    Ring,
    /// Messages only in the state that expects them, whole, with their descriptor.
    Turn,
    /// Deadline and bounded number of handshakes.
    Limits,
    Secret,
    /// What a peer brings is closed without anyone waiting for it.
    Closing,
}

/// How a case wants its victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Plain,
    /// A handshake has 50 ms.
    Hasty,
    /// Eight unfinished handshakes at a time.
    Few,
    /// With a secret.
    Secret,
    /// 255 queues each way.
    Queues,
}

/// One thing that a hostile peer does.
pub struct Case {
    /// The victim's.
    pub role: Role,
    pub kind: Kind,
    pub rule: Rule,
    pub name: String,
    /// What memif's own log must say; empty: it is no offence, or one of several.
    pub says: &'static str,
    /// It is nothing without a look into the victim.
    pub inside: bool,
    attack: Box<dyn Fn(&Target)>,
}

impl Case {
    /// On a master, unless said otherwise.
    pub(crate) fn new(
        rule: Rule,
        name: impl Into<String>,
        says: &'static str,
        attack: impl Fn(&Target) + 'static,
    ) -> Self {
        Self {
            role: Role::Master,
            kind: Kind::Plain,
            rule,
            name: name.into(),
            says,
            inside: false,
            attack: Box::new(attack),
        }
    }

    pub(crate) fn in_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    pub(crate) fn on(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Only for victims that can be looked into.
    pub(crate) fn looking_inside(mut self) -> Self {
        self.inside = true;
        self
    }

    /// Does it. Panics when a victim that can be looked into is not as it must be, or an answer
    /// is not one of those that are allowed.
    pub fn attack(&self, target: &Target) {
        (self.attack)(target);
    }

    /// All that it is called by.
    pub fn title(&self) -> String {
        format!("{} {:?}: {}", self.role, self.rule, self.name)
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.title())
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()))
        .unwrap_or_default()
}
