//! The order that a sender asks for.

/// The order that a sender asks for, from the weakest to the strongest. corosync ignores it.
///
/// ```no_run
/// use std::io::IoSlice;
/// use cpg::{Group, Guarantee};
///
/// let group = Group::join("ledger")?;
/// group.send_with(Guarantee::Safe, &[IoSlice::new(b"agreed all the same")])?;
/// # Ok::<(), cpg::Error>(())
/// ```
///
/// corosync sends every message as [`Agreed`](Self::Agreed) (`exec/cpg.c`, `message_handler_req_lib_cpg_mcast`): all members deliver
/// all messages in the same order.
#[doc(alias = "cpg_guarantee_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Guarantee {
    /// No order.
    #[doc(alias = "CPG_TYPE_UNORDERED")]
    Unordered,
    /// The order of each sender.
    #[doc(alias = "CPG_TYPE_FIFO")]
    Fifo,
    /// One order for all members.
    #[default]
    #[doc(alias = "CPG_TYPE_AGREED")]
    Agreed,
    /// One order for all members, and delivery only when all nodes have the message. corosync does not implement it.
    #[doc(alias = "CPG_TYPE_SAFE")]
    Safe,
}
