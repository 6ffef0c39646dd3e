//! Error numbers of the C core as `i32`. The C core returns them as int, but the generated
//! constants are unsigned.

use super::bindings::*;

pub(crate) const SUCCESS: i32 = MEMIF_ERR_SUCCESS as i32;
pub(crate) const NOBUF: i32 = MEMIF_ERR_NOBUF as i32;
pub(crate) const NOBUF_RING: i32 = MEMIF_ERR_NOBUF_RING as i32;
pub(crate) const DISCONNECTED: i32 = MEMIF_ERR_DISCONNECTED as i32;
pub(crate) const INVAL_ARG: i32 = MEMIF_ERR_INVAL_ARG as i32;
pub(super) const NOBUF_DET: i32 = MEMIF_ERR_NOBUF_DET as i32;
pub(super) const QID: i32 = MEMIF_ERR_QID as i32;
