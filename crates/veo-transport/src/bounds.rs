use std::ops::RangeInclusive;

/// Checks the length of a text or a list in a request. `unit` is the plural of the counted thing, such as `characters`.
///
/// # Errors
///
/// A sentence that names the field, its length and the limit.
///
/// ```
/// let refused = veo_transport::check_length("prompt", 0, "characters", &(1..=usize::MAX));
/// assert_eq!(refused.unwrap_err(), "`prompt` has 0 characters, and needs at least 1");
/// ```
pub fn check_length(
    field: &str,
    length: usize,
    unit: &str,
    bounds: &RangeInclusive<usize>,
) -> Result<(), String> {
    let least = bounds.start();
    let most = bounds.end();
    if length < *least {
        return Err(format!(
            "`{field}` has {length} {unit}, and needs at least {least}"
        ));
    }
    if length > *most {
        return Err(format!(
            "`{field}` has {length} {unit}, and may have {most} at most"
        ));
    }
    Ok(())
}

/// Checks a number of a request.
///
/// # Errors
///
/// A sentence that names the field, its value and the range.
///
/// ```
/// let refused = veo_transport::check_range("seeds", 5, &(10..=99));
/// assert_eq!(refused.unwrap_err(), "`seeds` is 5, and has to be from 10 to 99");
/// ```
pub fn check_range(field: &str, value: i64, bounds: &RangeInclusive<i64>) -> Result<(), String> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let least = bounds.start();
    let most = bounds.end();
    Err(format!(
        "`{field}` is {value}, and has to be from {least} to {most}"
    ))
}
