//! Errors in what people write by hand: where it is, and what they may have meant.

use serde::de::DeserializeOwned;
use tidegate::error::{Error, Result};

/// `: did you mean …?` if one of the valid names is near.
#[must_use]
pub fn did_you_mean<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let near = valid.into_iter().map(|v| (strsim::jaro_winkler(name, v), v)).filter(|(likeness, _)| *likeness > 0.7);
    let nearest = near.max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map_or_else(String::new, |(_, nearest)| format!(": did you mean {nearest}?"))
}

/// Reads JSON.
///
/// # Errors
/// `BadInput` at `place`, naming the path within the text, line and column, and the nearest valid name.
pub fn read_json<T: DeserializeOwned>(text: &str, place: &str) -> Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read: std::result::Result<T, _> = serde_path_to_error::deserialize(&mut json);
    let read = read.map_err(|e| {
        let (path, message) = (e.path().to_string(), e.inner().to_string());
        let hint = unknown_name(&message);
        let within = if path == "." { String::new() } else { format!("{path}: ") };
        Error::bad_input(format!("{within}{message}{hint}")).at(place)
    })?;
    json.end().map_err(|e| Error::bad_input(e.to_string()).at(place))?;
    Ok(read)
}

/// serde's message "unknown variant `x`, expected one of `a`, `b`" names all that there are; this names the nearest.
fn unknown_name(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown variant ").or_else(|| message.strip_prefix("unknown field ")) else {
        return String::new();
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next() else { return String::new() };
    did_you_mean(unknown, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_if_it_is_near() {
        let valid = ["snapshot-synced", "snapshot-written", "aligned"];
        assert_eq!(did_you_mean("snapshot-sunk", valid), ": did you mean snapshot-synced?");
        assert_eq!(did_you_mean("alinged", valid), ": did you mean aligned?");
        assert_eq!(did_you_mean("xyz", valid), "");
    }
}
