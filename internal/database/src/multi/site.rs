//! The files of many databases, for whoever looks after them: which there are, and what is to be said of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::look::{Overview, SourceLook, homes_now, look};
use super::reload::PassedOver;
use super::relocate::look_at_strays;
use super::standin;
use super::standin_files;
use crate::config::DatabaseConfig;
use crate::error::Result;
use crate::ids::ChatId;
use crate::maintenance::{self, Finding, Role, Severity, Site, SiteFile, UnfinishedMove};
use crate::params;
use crate::source::{self, ReadTx, look_closer};

/// The files of a configuration with sources by name, as they are now. Changes nothing.
pub fn site(config: &DatabaseConfig) -> Site {
    let overview = look(config);
    let mut files = stand_ins(config);
    let mut findings = Vec::new();
    for source in &overview.sources {
        let Some(settings) = config.sources.get(&source.name) else { continue };
        let role = if source.is_default { Role::Default } else { Role::Named };
        let (name, look, routed) = (source.name.clone(), source.look.clone(), source.chats as u64);
        files.push(SiteFile { name, role, settings: settings.clone(), look, routed });
        of_journals(source, &mut findings);
    }
    let homes = overview.homes();
    nowhere(config, &homes, &mut findings);
    let moves = if overview.is_complete { unfinished_in(config) } else { Ok(Vec::new()) };
    let moves = unfinished(moves, config, &overview, &mut findings);
    passed_over(&overview, &mut findings);
    unsaid(&overview, &mut findings);
    for (name, path) in standin::ownerless(config) {
        let what = "writes wait in its stand-in, and it is not configured as a source that can be written";
        let finding = Finding::new(Severity::Error, name, what).at(&path);
        findings.push(finding.with_remedy("configure it again, so that they come home"));
    }
    let again = config.clone();
    let (data_dir, homes_now) = (config.data_dir.clone(), Arc::new(move || homes_now(&again)));
    Site { data_dir, files, homes, moves, findings, homes_now }
}

/// What is to be said of rows in files that do not own them. Reads tables as a whole.
pub fn stray_findings(config: &DatabaseConfig) -> Vec<Finding> {
    let strays = look_at_strays(config);
    // Of these something else is said: they are not to be cleared by hand.
    let moving: BTreeSet<ChatId> = unfinished_in(config).into_iter().flatten().map(|one| one.chat).collect();
    let strays = strays.found.into_iter().filter(|stray| !moving.contains(&stray.chat));
    let finding = |(source, chats): (_, BTreeSet<ChatId>)| {
        let what = format!("it has rows of chats that live in another source: {}", named(&chats));
        let remedy = "`bot db strays` shows them; `bot db strays --clear` deletes those that are the same at home, and \
                      `bot db move CHAT --to SOURCE` brings along what a chat that was mapped by hand has left";
        Finding::new(Severity::Warning, source, what).with_remedy(remedy)
    };
    grouped(strays.map(|stray| (stray.source, stray.chat))).into_iter().map(finding).collect()
}

fn stand_ins(config: &DatabaseConfig) -> Vec<SiteFile> {
    let files = standin_files::all(config).into_iter();
    files
        .map(|(name, settings)| {
            let look = source::look(&settings);
            SiteFile { name, role: Role::StandIn, settings, look, routed: 0 }
        })
        .collect()
}

/// What waits and what was kept aside.
fn of_journals(source: &SourceLook, findings: &mut Vec<Finding>) {
    let name = &source.name;
    if let Some(by) = source.served_by {
        let waiting = source.waiting.map_or_else(|| "an unknown number of".to_owned(), |waiting| waiting.to_string());
        let what = format!("its chats are served by another file ({by}), where {waiting} writes wait to come home");
        findings.push(
            Finding::new(Severity::Warning, name, what).with_remedy("bring the source back; see `bot db status`"),
        );
    }
    if let Some(parked) = source.parked.filter(|parked| *parked > 0) {
        let what = format!("{parked} writes were kept aside that could not be made there");
        findings.push(Finding::new(Severity::Warning, name, what).with_remedy(format!("see `bot db journal {name}`")));
    }
}

/// Chats that are led to a source that is not configured.
fn nowhere(config: &DatabaseConfig, homes: &BTreeMap<ChatId, crate::SourceName>, findings: &mut Vec<Finding>) {
    let lost = homes.iter().filter(|(_, home)| !config.sources.contains_key(home));
    for (home, chats) in grouped(lost.map(|(chat, home)| (home, *chat))) {
        let what = format!("chats were moved to it, and it is not configured: {}", named(&chats));
        let remedy = "configure it again, or map the chats to where their rows are in [database.chat_mapping]";
        findings.push(Finding::new(Severity::Error, home, what).with_remedy(remedy));
    }
}

/// Lines of the mapping that are not followed.
fn passed_over(overview: &Overview, findings: &mut Vec<Finding>) {
    let lines = overview.all_passed_over().map(|PassedOver { chat, line, home }| ((home, line), chat));
    for ((home, line), chats) in grouped(lines) {
        let what = format!(
            "lines of [database.chat_mapping] that lead to `{line}` are not followed, since these chats were moved here: {}",
            named(&chats)
        );
        let remedy = format!("`bot db move CHAT --to {line}` moves a chat to where its line leads");
        findings.push(Finding::new(Severity::Note, home, what).with_remedy(remedy));
    }
}

/// Chats that were moved, and have no line in the mapping.
fn unsaid(overview: &Overview, findings: &mut Vec<Finding>) {
    for (home, chats) in grouped(overview.unsaid().map(|(chat, home)| (home, chat))) {
        let what = format!(
            "chats were moved here of which [database.chat_mapping] says nothing, so that they are not found while the \
             default source is away: {}",
            named(&chats)
        );
        let remedy = format!(
            "`bot db move CHAT --to {home}` writes a chat's line where it can; or write `CHAT = \"{home}\"` there"
        );
        findings.push(Finding::new(Severity::Note, home, what).with_remedy(remedy));
    }
}

/// The moves that are noted in a default source.
pub(super) fn unfinished_moves(tx: &ReadTx<'_>) -> Result<Vec<UnfinishedMove>> {
    tx.snapshot()?;
    if !tx.has_table("switchyard_moves")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT chat_id, from_source, to_source, state, updated_at FROM switchyard_moves ORDER BY chat_id";
    tx.query(sql, params![])
}

/// The moves that are not at their end; none where the default source's file is not to be read.
pub(super) fn unfinished_in(config: &DatabaseConfig) -> Result<Vec<UnfinishedMove>> {
    let default = config.sources.get(&config.default_source);
    let read = default.and_then(|default| look_closer(default).read("site.unfinished", unfinished_moves));
    read.unwrap_or_else(|| Ok(Vec::new()))
}

/// Moves that were broken off: those that are known of.
fn unfinished(
    moves: Result<Vec<UnfinishedMove>>,
    config: &DatabaseConfig,
    overview: &Overview,
    findings: &mut Vec<Finding>,
) -> Vec<UnfinishedMove> {
    let default = &config.default_source;
    let moves = moves.unwrap_or_else(|error| {
        let what = format!("which moves were broken off cannot be read ({})", error.kind());
        findings.push(Finding::new(Severity::Error, default, what));
        Vec::new()
    });
    let finding = |one: &UnfinishedMove| {
        let home = overview.explain(one.chat).0;
        Finding::new(Severity::Warning, default, one.what()).with_remedy(one.remedy(home.as_str()))
    };
    findings.extend(moves.iter().map(finding));
    moves
}

/// The chats of which the same is to be said, together.
fn grouped<K: Ord>(chats: impl Iterator<Item = (K, ChatId)>) -> BTreeMap<K, BTreeSet<ChatId>> {
    let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (key, chat) in chats {
        groups.entry(key).or_default().insert(chat);
    }
    groups
}

fn named(chats: &BTreeSet<ChatId>) -> String {
    maintenance::named(chats.iter().map(ToString::to_string))
}
