//! Connections to sites that are being made, so that the requests of a page do not each make one
//! where one of HTTP/2 will carry them all.

use crate::pool::Site;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use tokio::sync::Notify;

/// What one worker is dialling.
#[derive(Default)]
pub(crate) struct Dials {
    under_way: RefCell<HashMap<Site, Rc<Notify>>>,
}

/// A connection that is being made; others wait until this is dropped.
pub(crate) struct Dialling {
    dials: Rc<Dials>,
    site: Site,
}

impl Dials {
    /// Begins one; the error is what tells when the one under way has come to an end.
    pub(crate) fn begin(self: &Rc<Self>, site: &Site) -> Result<Dialling, Rc<Notify>> {
        let mut under_way = self.under_way.borrow_mut();
        if let Some(other) = under_way.get(site) {
            return Err(Rc::clone(other));
        }
        under_way.insert(site.clone(), Rc::default());
        Ok(Dialling { dials: Rc::clone(self), site: site.clone() })
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if let Some(waiting) = self.dials.under_way.borrow_mut().remove(&self.site) {
            waiting.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed fixture is a failed test")]
    use super::*;
    use rules::host::Host;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_then_may_dial() {
        let dials = Rc::new(Dials::default());
        let host = Host::parse("site.test").unwrap();
        let site = Site { host, port: 443, secure: true, dialled: None };
        let first = dials.begin(&site).ok().unwrap();
        let other = dials.begin(&site).err().unwrap();
        let mut waiting = std::pin::pin!(other.notified());
        waiting.as_mut().enable();
        drop(first);
        waiting.await;
        assert!(dials.begin(&site).is_ok());
    }
}
