//! The order in which a request gets its sign-offs: a setting, since schools differ.
//!
//! In some schools the safeguarding lead says yes, the technician makes the change, and somebody
//! looks afterwards whether it is right. In others the technician's manager authorises, and the
//! safeguarding lead has to confirm before anything is made. Each order is allowed in which nothing
//! is made before it is authorised; a request keeps the order that held when it was asked for.

use serde::{Deserialize, Serialize};

/// One of the three sign-offs that follow a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignOff {
    /// Somebody with the role, who did not ask, says yes.
    Authorise,
    /// The change is made: from here on it is in force.
    Apply,
    /// Who neither authorised nor made it confirms it.
    Confirm,
}

impl SignOff {
    /// All three, in the usual order.
    pub const ALL: [SignOff; 3] = [Self::Authorise, Self::Apply, Self::Confirm];

    /// The word in `[unblock] order`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Apply => "apply",
            Self::Confirm => "confirm",
        }
    }

    /// What it is called once it is done.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Authorise => "authorised",
            Self::Apply => "applied",
            Self::Confirm => "confirmed",
        }
    }

    /// The sign-off of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<SignOff> {
        Self::ALL.into_iter().find(|step| step.as_str() == word)
    }
}

/// The three sign-offs in the order in which they are given. Authorising comes before applying in
/// every one there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<SignOff>", into = "Vec<SignOff>")]
pub struct SignOffOrder([SignOff; 3]);

impl Default for SignOffOrder {
    /// Authorised, applied, confirmed.
    fn default() -> Self {
        Self(SignOff::ALL)
    }
}

impl SignOffOrder {
    /// Every order there is.
    pub const ALL: [SignOffOrder; 3] = [
        Self([SignOff::Authorise, SignOff::Apply, SignOff::Confirm]),
        Self([SignOff::Authorise, SignOff::Confirm, SignOff::Apply]),
        Self([SignOff::Confirm, SignOff::Authorise, SignOff::Apply]),
    ];

    /// The order of these steps; `None` where one is missing or twice, or where something would be
    /// applied before it is authorised.
    #[must_use]
    pub fn new(steps: &[SignOff]) -> Option<SignOffOrder> {
        Self::ALL.into_iter().find(|order| order.0 == steps)
    }

    /// The steps, the first one first.
    #[must_use]
    pub fn steps(self) -> [SignOff; 3] {
        self.0
    }

    /// The steps that must be done before this one.
    pub fn before(self, step: SignOff) -> impl Iterator<Item = SignOff> {
        self.0.into_iter().take_while(move |earlier| *earlier != step)
    }

    /// Whether nothing takes effect before somebody who neither authorised nor made it has confirmed it.
    #[must_use]
    pub fn confirms_first(self) -> bool {
        self.before(SignOff::Apply).any(|step| step == SignOff::Confirm)
    }

    /// Whether it is the usual order: such is not written into the log.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// `authorise, apply, confirm`.
    #[must_use]
    pub fn words(self) -> String {
        self.0.map(SignOff::as_str).join(", ")
    }
}

/// An order that makes no sense (a damaged or foreign log) is the usual one, in which nothing is
/// applied before it is authorised either.
impl From<Vec<SignOff>> for SignOffOrder {
    fn from(steps: Vec<SignOff>) -> Self {
        Self::new(&steps).unwrap_or_default()
    }
}

impl From<SignOffOrder> for Vec<SignOff> {
    fn from(order: SignOffOrder) -> Self {
        order.0.to_vec()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

    use super::*;

    #[test]
    fn nothing_is_applied_before_it_is_authorised_in_any_order() {
        let steps = SignOff::ALL;
        let mut orders = 0;
        for one in steps {
            for two in steps {
                for three in steps {
                    if let Some(order) = SignOffOrder::new(&[one, two, three]) {
                        orders += 1;
                        let mut before = order.before(SignOff::Apply);
                        assert!(before.any(|step| step == SignOff::Authorise), "{order:?}");
                    }
                }
            }
        }
        assert_eq!(orders, SignOffOrder::ALL.len());
        assert_eq!(SignOffOrder::new(&[SignOff::Authorise, SignOff::Apply]), None);
    }

    #[test]
    fn an_order_is_stored_as_its_words_and_nonsense_is_the_usual_one() {
        let order = SignOffOrder::ALL[2];
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(text, r#"["confirm","authorise","apply"]"#);
        assert_eq!(serde_json::from_str::<SignOffOrder>(&text).unwrap(), order);
        let nonsense: SignOffOrder = serde_json::from_str(r#"["apply","authorise"]"#).unwrap();
        assert!(nonsense.is_usual());
        assert!(!nonsense.confirms_first() && order.confirms_first());
    }
}
