//! Suffix matching: a listed name covers itself and every name below it.
