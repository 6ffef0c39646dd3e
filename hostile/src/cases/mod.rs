//! All cases.

mod closing;
mod crowds;
pub(crate) mod fuse;
pub(crate) mod killed;
mod meanwhile;
mod on_master;
mod on_master_bends;
mod on_slave;
mod overruns;
mod rings;
mod slow;

use crate::case::Case;
use crate::target::Role;

/// All cases, in both roles.
pub fn all() -> Vec<Case> {
    let on_slave = on_slave::cases().into_iter();
    let on_slave = on_slave.map(|case| case.in_role(Role::Slave));
    let on_master = on_master::cases().into_iter();
    on_master.chain(on_slave).chain(overruns::cases()).collect()
}
