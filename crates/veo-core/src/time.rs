//! Times as they are stored: in whole seconds since 1970.

use std::time::{Duration, SystemTime};

/// The current time in whole seconds.
pub(crate) fn now() -> SystemTime {
    whole_seconds(SystemTime::now())
}

/// Cuts a time to whole seconds, so that it is equal after a round trip through JSON.
pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.unwrap_or_default().as_secs())
}

pub(crate) mod unix_seconds {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
        )
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let seconds = Duration::from_secs(u64::deserialize(deserializer)?);
        let time = SystemTime::UNIX_EPOCH.checked_add(seconds);
        time.ok_or_else(|| serde::de::Error::custom("a time that is too far away"))
    }
}

/// Reads and writes a time that may be missing, as [`unix_seconds`] does.
pub(crate) mod optional_unix_seconds {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize, Serialize)]
    struct Seconds(#[serde(with = "super::unix_seconds")] SystemTime);

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Seconds).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<Seconds>::deserialize(deserializer)?.map(|seconds| seconds.0))
    }
}
