//! The access log from decision to answer: kills, damage, full disks, day bounds, pages, rollups.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

mod backlog;
mod damage;
mod full_disk;
mod kill;
mod looking;
mod pages;
mod sample;
mod storing;
mod summaries;
