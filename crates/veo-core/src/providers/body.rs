use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use veo_transport::Error as ApiError;

use crate::{Offer, Reason};

/// Reads the body of an offer in the provider's own type.
pub(crate) fn read<T: DeserializeOwned, R>(offer: &Offer) -> Result<T, ApiError<R>> {
    typed(&offer.body)
}

pub(crate) fn typed<T: DeserializeOwned, R>(body: &Value) -> Result<T, ApiError<R>> {
    T::deserialize(body).map_err(|error| ApiError::InvalidRequest(error.to_string()))
}

/// A JSON body to which fields are added.
#[derive(Default)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// Sets a field, if there is a value for it.
    pub(crate) fn set(&mut self, field: &str, value: impl Into<Option<Value>>) {
        if let Some(value) = value.into() {
            self.0.insert(field.to_owned(), value);
        }
    }

    /// Adds the caller's own fields. It refuses a field in `covered`, which has each field that `VideoRequest` covers,
    /// with its name in `VideoRequest`.
    pub(crate) fn merge(
        &mut self,
        extra: Option<&Map<String, Value>>,
        covered: &[(&str, &str)],
    ) -> Result<(), Vec<Reason>> {
        let mut wrong = Vec::new();
        for (field, value) in extra.into_iter().flatten() {
            match covered.iter().find(|(theirs, _)| theirs == field) {
                Some((_, ours)) => wrong.push(format!("{field} is the {ours} of the request")),
                None => drop(self.0.insert(field.clone(), value.clone())),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        // All wrong fields are one reason, since a plan shows the model with the fewest reasons.
        Err(vec![Reason::new(
            "extra",
            format!(
                "{}; set that and leave out the extra field",
                wrong.join(", ")
            ),
        )])
    }

    /// Returns the body, if it fits the provider's own type and is within the bounds.
    pub(crate) fn check<T: DeserializeOwned + Serialize>(
        self,
        bounds: impl Fn(&T) -> Result<(), String>,
    ) -> Result<Value, Vec<Reason>> {
        let refuse = |error: String| vec![Reason::new("extra", error)];
        let typed: T = serde_json::from_value(Value::Object(self.0))
            .map_err(|error| refuse(error.to_string()))?;
        bounds(&typed).map_err(refuse)?;
        serde_json::to_value(typed).map_err(|error| refuse(error.to_string()))
    }
}

impl From<Body> for Option<Value> {
    fn from(body: Body) -> Self {
        (!body.0.is_empty()).then_some(Value::Object(body.0))
    }
}
