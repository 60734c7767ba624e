//! Close frames (RFC 6455, 5.5.1 and 7.4).

use swapwire_core::FrameError;

pub(crate) const NORMAL: u16 = 1000;
pub(crate) const GOING_AWAY: u16 = 1001;
pub(crate) const PROTOCOL: u16 = 1002;
pub(crate) const NOT_TEXT: u16 = 1007;
pub(crate) const TOO_LARGE: u16 = 1009;
pub(crate) const FAILED: u16 = 1011;

/// Looks at what a close frame says: nothing, or a code and a reason.
pub(crate) fn check(payload: &[u8]) -> Result<(), FrameError> {
    match payload {
        [] => Ok(()),
        [_] => Err(FrameError::Malformed("a close frame has half a code")),
        [high, low, reason @ ..] => {
            if !may_be_sent(u16::from_be_bytes([*high, *low])) {
                return Err(FrameError::Malformed("a close frame has a code that none may have"));
            }
            std::str::from_utf8(reason).map(|_| ()).map_err(|_| FrameError::NotText)
        }
    }
}

/// Codes that the registry of RFC 6455 has for frames (1004, 1005, 1006 and 1015 are not for them), and those of libraries and
/// applications.
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
