//! The order that a message asks for.

/// The order that a message asks for, from the weakest to the strongest.
///
/// corosync ignores it and sends every message [`Agreed`](Self::Agreed) (`exec/cpg.c`,
/// `message_handler_req_lib_cpg_mcast`): all members deliver all messages in the same order.
///
/// ```no_run
/// use std::io::IoSlice;
/// use cpg::{Group, Guarantee};
///
/// let group = Group::join("ledger")?;
/// group.send_with(Guarantee::Safe, &[IoSlice::new(b"agreed all the same")])?;
/// # Ok::<(), cpg::Error>(())
/// ```
#[doc(alias = "cpg_guarantee_t")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Guarantee {
    /// No order.
    #[doc(alias = "CPG_TYPE_UNORDERED")]
    Unordered,
    /// The order of the sender.
    #[doc(alias = "CPG_TYPE_FIFO")]
    Fifo,
    /// One order for all members.
    #[default]
    #[doc(alias = "CPG_TYPE_AGREED")]
    Agreed,
    /// One order for all, delivered when all have received it. Not implemented by corosync.
    #[doc(alias = "CPG_TYPE_SAFE")]
    Safe,
}
