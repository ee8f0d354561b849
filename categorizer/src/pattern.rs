//! Keywords and regular expressions over URLs.
