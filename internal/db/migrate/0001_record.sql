-- The record, version 1. docs/formats/ledger.md says what every table and column means.
-- Tokens: {{id}} a row number that is never given twice, {{bytes}} a byte string,
-- {{clustered}} rows kept in the order of their primary key where the engine can.

CREATE TABLE tenants (
  id {{id}}, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  wrapped_key {{bytes}} NOT NULL, key_id TEXT NOT NULL,
  created_at BIGINT NOT NULL, erased_at BIGINT NOT NULL DEFAULT 0);

CREATE TABLE domains (
  id {{id}}, tenant_id BIGINT NOT NULL, name TEXT NOT NULL, topology TEXT NOT NULL,
  failover TEXT NOT NULL, own_mail TEXT NOT NULL,
  dkim_selector TEXT NOT NULL, dkim_sealed {{bytes}} NOT NULL, dkim_public TEXT NOT NULL,
  created_at BIGINT NOT NULL, removed_at BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX domains_name ON domains (name) WHERE removed_at = 0;

CREATE TABLE people (
  id {{id}}, tenant_id BIGINT NOT NULL, domain_id BIGINT NOT NULL, account_id BIGINT NOT NULL,
  email TEXT NOT NULL, name TEXT NOT NULL, phone TEXT NOT NULL, primary_login TEXT NOT NULL,
  created_at BIGINT NOT NULL, removed_at BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX people_email ON people (email) WHERE removed_at = 0;
CREATE INDEX people_tenant ON people (tenant_id, email);
CREATE INDEX people_account ON people (account_id);

CREATE TABLE groups (
  id {{id}}, tenant_id BIGINT NOT NULL, domain_id BIGINT NOT NULL, address TEXT NOT NULL,
  name TEXT NOT NULL, created_at BIGINT NOT NULL, removed_at BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX groups_address ON groups (address) WHERE removed_at = 0;

CREATE TABLE group_members (
  group_id BIGINT NOT NULL, person_id BIGINT NOT NULL, PRIMARY KEY (group_id, person_id)){{clustered}};
CREATE INDEX group_members_person ON group_members (person_id);

CREATE TABLE addresses (
  address TEXT NOT NULL PRIMARY KEY, tenant_id BIGINT NOT NULL, domain_id BIGINT NOT NULL,
  person_id BIGINT NOT NULL DEFAULT 0, group_id BIGINT NOT NULL DEFAULT 0){{clustered}};
CREATE INDEX addresses_person ON addresses (person_id);
CREATE INDEX addresses_group ON addresses (group_id);

CREATE TABLE credentials (
  id {{id}}, person_id BIGINT NOT NULL, kind TEXT NOT NULL, label TEXT NOT NULL,
  verifier TEXT NOT NULL, scram_sha256 TEXT NOT NULL,
  created_at BIGINT NOT NULL, last_used_at BIGINT NOT NULL DEFAULT 0, revoked_at BIGINT NOT NULL DEFAULT 0);
CREATE INDEX credentials_person ON credentials (person_id);

CREATE TABLE primaries (
  domain_id BIGINT NOT NULL PRIMARY KEY, kind TEXT NOT NULL,
  imap_addr TEXT NOT NULL, imap_tls TEXT NOT NULL, smtp_addr TEXT NOT NULL, smtp_tls TEXT NOT NULL,
  ca_pem TEXT NOT NULL, pin_imap TEXT NOT NULL, pin_smtp TEXT NOT NULL,
  master_user TEXT NOT NULL, master_separator TEXT NOT NULL, secret_sealed {{bytes}} NOT NULL,
  probe_every_us BIGINT NOT NULL, probe_address TEXT NOT NULL,
  created_at BIGINT NOT NULL, rebuilt_at BIGINT NOT NULL DEFAULT 0, isolated SMALLINT NOT NULL DEFAULT 0);

CREATE TABLE administrators (
  id {{id}}, name TEXT NOT NULL UNIQUE, verifier TEXT NOT NULL,
  created_at BIGINT NOT NULL, removed_at BIGINT NOT NULL DEFAULT 0);

CREATE TABLE accounts (
  id {{id}}, tenant_id BIGINT NOT NULL, kind TEXT NOT NULL,
  modseq BIGINT NOT NULL DEFAULT 0, uidvalidity BIGINT NOT NULL DEFAULT 0, created_at BIGINT NOT NULL);
CREATE INDEX accounts_tenant ON accounts (tenant_id);

CREATE TABLE mailboxes (
  id {{id}}, account_id BIGINT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL,
  uidvalidity BIGINT NOT NULL, uidnext BIGINT NOT NULL DEFAULT 1, modseq BIGINT NOT NULL,
  subscribed SMALLINT NOT NULL, by_relais SMALLINT NOT NULL,
  messages BIGINT NOT NULL DEFAULT 0, unseen BIGINT NOT NULL DEFAULT 0, bytes BIGINT NOT NULL DEFAULT 0,
  created_modseq BIGINT NOT NULL, created_at BIGINT NOT NULL,
  deleted_modseq BIGINT NOT NULL DEFAULT 0, deleted_at BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX mailboxes_name ON mailboxes (account_id, name) WHERE deleted_modseq = 0;
CREATE UNIQUE INDEX mailboxes_role ON mailboxes (account_id, role) WHERE deleted_modseq = 0 AND role <> '';

CREATE TABLE emails (
  id {{id}}, tenant_id BIGINT NOT NULL, hash {{bytes}} NOT NULL, size BIGINT NOT NULL,
  message_id TEXT NOT NULL, sent_at BIGINT NOT NULL, sender TEXT NOT NULL, base_subject TEXT NOT NULL,
  content_print {{bytes}} NOT NULL, summary {{bytes}} NOT NULL, created_at BIGINT NOT NULL);
CREATE UNIQUE INDEX emails_hash ON emails (tenant_id, hash);
CREATE INDEX emails_message_id ON emails (tenant_id, message_id);

CREATE TABLE placements (
  id {{id}}, account_id BIGINT NOT NULL, mailbox_id BIGINT NOT NULL, email_id BIGINT NOT NULL,
  thread_id BIGINT NOT NULL, uid BIGINT NOT NULL, system SMALLINT NOT NULL, keywords TEXT NOT NULL,
  modseq BIGINT NOT NULL, created_modseq BIGINT NOT NULL, internal_date BIGINT NOT NULL,
  size BIGINT NOT NULL, hash {{bytes}} NOT NULL, created_at BIGINT NOT NULL,
  deleted_modseq BIGINT NOT NULL DEFAULT 0, deleted_at BIGINT NOT NULL DEFAULT 0, deleted_by TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX placements_uid ON placements (mailbox_id, uid) WHERE deleted_modseq = 0;
CREATE INDEX placements_modseq ON placements (mailbox_id, modseq);
CREATE INDEX placements_email ON placements (email_id, account_id);

CREATE TABLE changes (
  account_id BIGINT NOT NULL, modseq BIGINT NOT NULL, at BIGINT NOT NULL,
  origin TEXT NOT NULL, actor TEXT NOT NULL, kind TEXT NOT NULL,
  placement_id BIGINT NOT NULL, email_id BIGINT NOT NULL, mailbox_id BIGINT NOT NULL, uid BIGINT NOT NULL,
  from_mailbox_id BIGINT NOT NULL, from_uid BIGINT NOT NULL,
  before_system SMALLINT NOT NULL, before_keywords TEXT NOT NULL,
  after_system SMALLINT NOT NULL, after_keywords TEXT NOT NULL, detail TEXT NOT NULL,
  PRIMARY KEY (account_id, modseq)){{clustered}};
CREATE INDEX changes_gone ON changes (from_mailbox_id, modseq) WHERE from_mailbox_id <> 0;
CREATE INDEX changes_expunged ON changes (account_id, at) WHERE kind = 'expunge';

CREATE TABLE thread_ids (
  account_id BIGINT NOT NULL, msgid_hash {{bytes}} NOT NULL, thread_id BIGINT NOT NULL,
  PRIMARY KEY (account_id, msgid_hash)){{clustered}};

CREATE TABLE blobs (
  tenant_id BIGINT NOT NULL, hash {{bytes}} NOT NULL, pack BIGINT NOT NULL, pos BIGINT NOT NULL,
  len BIGINT NOT NULL, size BIGINT NOT NULL, PRIMARY KEY (tenant_id, hash)){{clustered}};

CREATE TABLE intakes (
  id TEXT NOT NULL PRIMARY KEY, tenant_id BIGINT NOT NULL, at BIGINT NOT NULL,
  peer TEXT NOT NULL, helo TEXT NOT NULL, mail_from TEXT NOT NULL, message_id TEXT NOT NULL,
  hash {{bytes}} NOT NULL, repeat_key {{bytes}}, person_id BIGINT NOT NULL DEFAULT 0){{clustered}};
CREATE UNIQUE INDEX intakes_repeat ON intakes (repeat_key) WHERE repeat_key IS NOT NULL;
CREATE INDEX intakes_at ON intakes (at) WHERE repeat_key IS NOT NULL;

CREATE TABLE duties (
  id {{id}}, tenant_id BIGINT NOT NULL, domain_id BIGINT NOT NULL, intake_id TEXT NOT NULL,
  email_id BIGINT NOT NULL, recipient TEXT NOT NULL, group_id BIGINT NOT NULL DEFAULT 0,
  account_id BIGINT NOT NULL DEFAULT 0, placement_id BIGINT NOT NULL DEFAULT 0,
  mail_from TEXT NOT NULL, smtputf8 SMALLINT NOT NULL, state TEXT NOT NULL,
  claimed_by TEXT NOT NULL DEFAULT '', claimed_until BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0, next_at BIGINT NOT NULL, reply TEXT NOT NULL DEFAULT '',
  link_id BIGINT NOT NULL DEFAULT 0,
  owed_at BIGINT NOT NULL, handed_at BIGINT NOT NULL DEFAULT 0, seen_at BIGINT NOT NULL DEFAULT 0);
CREATE INDEX duties_due ON duties (domain_id, state, next_at);
CREATE INDEX duties_intake ON duties (intake_id);
CREATE INDEX duties_account ON duties (account_id, state);
CREATE INDEX duties_placement ON duties (placement_id) WHERE placement_id <> 0;
CREATE INDEX duties_handed ON duties (handed_at) WHERE state = 'handed';

CREATE TABLE duty_members (
  duty_id BIGINT NOT NULL, account_id BIGINT NOT NULL, placement_id BIGINT NOT NULL,
  link_id BIGINT NOT NULL DEFAULT 0, seen_at BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (duty_id, account_id)){{clustered}};
CREATE INDEX duty_members_account ON duty_members (account_id);
CREATE INDEX duty_members_placement ON duty_members (placement_id);

CREATE TABLE folders (
  row_id {{id}}, id BIGINT NOT NULL, account_id BIGINT NOT NULL, name TEXT NOT NULL,
  mailbox_id BIGINT NOT NULL, base_name TEXT NOT NULL, role TEXT NOT NULL, object_id TEXT NOT NULL,
  no_select SMALLINT NOT NULL, read_only SMALLINT NOT NULL, subscribed SMALLINT NOT NULL,
  uidvalidity BIGINT NOT NULL, uidnext BIGINT NOT NULL,
  highest_modseq BIGINT NOT NULL, messages BIGINT NOT NULL,
  permanent_system SMALLINT NOT NULL, permanent_keywords TEXT NOT NULL, any_keyword SMALLINT NOT NULL,
  valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX folders_current ON folders (id) WHERE valid_to = 0;
CREATE UNIQUE INDEX folders_name ON folders (account_id, name) WHERE valid_to = 0;
CREATE INDEX folders_account ON folders (account_id, valid_from);

CREATE TABLE links (
  id {{id}}, account_id BIGINT NOT NULL, placement_id BIGINT NOT NULL, folder_id BIGINT NOT NULL,
  uidvalidity BIGINT NOT NULL, uid BIGINT NOT NULL,
  base_system SMALLINT NOT NULL, base_keywords TEXT NOT NULL, base_mailbox_id BIGINT NOT NULL,
  server_hash {{bytes}} NOT NULL, server_print {{bytes}} NOT NULL,
  unkept_system SMALLINT NOT NULL, unkept_keywords TEXT NOT NULL, appended SMALLINT NOT NULL,
  valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX links_placement ON links (placement_id) WHERE valid_to = 0;
CREATE UNIQUE INDEX links_remote ON links (folder_id, uidvalidity, uid) WHERE valid_to = 0;
CREATE INDEX links_account ON links (account_id, valid_from);

CREATE TABLE intents (
  id {{id}}, account_id BIGINT NOT NULL, kind TEXT NOT NULL, placement_id BIGINT NOT NULL,
  folder_id BIGINT NOT NULL, uidvalidity BIGINT NOT NULL, uidnext BIGINT NOT NULL,
  at BIGINT NOT NULL, done_at BIGINT NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '');
CREATE INDEX intents_open ON intents (account_id) WHERE done_at = 0;

CREATE TABLE refusals (
  id {{id}}, account_id BIGINT NOT NULL, placement_id BIGINT NOT NULL, folder_id BIGINT NOT NULL,
  name TEXT NOT NULL, operation TEXT NOT NULL, code TEXT NOT NULL, words TEXT NOT NULL, at BIGINT NOT NULL,
  times BIGINT NOT NULL DEFAULT 1, last_at BIGINT NOT NULL, accepted_at BIGINT NOT NULL DEFAULT 0,
  accepted_by TEXT NOT NULL DEFAULT '', resolved_at BIGINT NOT NULL DEFAULT 0);
CREATE INDEX refusals_open ON refusals (account_id) WHERE resolved_at = 0;
CREATE INDEX refusals_placement ON refusals (placement_id) WHERE resolved_at = 0;

CREATE TABLE freezes (
  id {{id}}, tenant_id BIGINT NOT NULL, account_id BIGINT NOT NULL DEFAULT 0, at BIGINT NOT NULL,
  reason TEXT NOT NULL, evidence TEXT NOT NULL, decision TEXT NOT NULL DEFAULT '',
  decided_at BIGINT NOT NULL DEFAULT 0, decided_by TEXT NOT NULL DEFAULT '');
CREATE INDEX freezes_open ON freezes (tenant_id, account_id);

CREATE TABLE pending (
  placement_id BIGINT NOT NULL PRIMARY KEY, account_id BIGINT NOT NULL, due_at BIGINT NOT NULL, why TEXT NOT NULL);
CREATE INDEX pending_due ON pending (account_id, due_at);

CREATE TABLE mirror_accounts (
  account_id BIGINT NOT NULL PRIMARY KEY, merged_modseq BIGINT NOT NULL, look_at_all BIGINT NOT NULL,
  looked_at_all BIGINT NOT NULL, pulled_at BIGINT NOT NULL, rebuilt_at BIGINT NOT NULL, settled_freeze BIGINT NOT NULL DEFAULT 0);

CREATE TABLE jobs (
  id {{id}}, tenant_id BIGINT NOT NULL DEFAULT 0, kind TEXT NOT NULL, payload TEXT NOT NULL,
  run_at BIGINT NOT NULL, attempts BIGINT NOT NULL DEFAULT 0, claimed_until BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL, done_at BIGINT NOT NULL DEFAULT 0,
  failed SMALLINT NOT NULL DEFAULT 0, last_error TEXT NOT NULL DEFAULT '');
CREATE INDEX jobs_due ON jobs (run_at) WHERE done_at = 0;

CREATE TABLE audit (
  id BIGINT NOT NULL PRIMARY KEY, tenant_id BIGINT NOT NULL, at BIGINT NOT NULL, actor TEXT NOT NULL,
  action TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL,
  prev {{bytes}} NOT NULL, hash {{bytes}} NOT NULL);

CREATE TABLE queue (
  id {{id}}, tenant_id BIGINT NOT NULL, intake_id TEXT NOT NULL, email_hash {{bytes}} NOT NULL,
  size BIGINT NOT NULL, mail_from TEXT NOT NULL, rcpt TEXT NOT NULL, dest_domain TEXT NOT NULL,
  state TEXT NOT NULL, attempts BIGINT NOT NULL DEFAULT 0, next_at BIGINT NOT NULL,
  claimed_until BIGINT NOT NULL DEFAULT 0, last_reply TEXT NOT NULL DEFAULT '',
  expires_at BIGINT NOT NULL, smtputf8 SMALLINT NOT NULL, eight_bit SMALLINT NOT NULL,
  via TEXT NOT NULL, created_at BIGINT NOT NULL, done_at BIGINT NOT NULL DEFAULT 0,
  delay_told_at BIGINT NOT NULL DEFAULT 0,
  dsn_envid TEXT NOT NULL DEFAULT '', dsn_ret TEXT NOT NULL DEFAULT '',
  dsn_notify TEXT NOT NULL DEFAULT '', dsn_orcpt TEXT NOT NULL DEFAULT '',
  account_id BIGINT NOT NULL DEFAULT 0, person_id BIGINT NOT NULL DEFAULT 0);
CREATE INDEX queue_due ON queue (next_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX queue_destination ON queue (dest_domain, state);
CREATE INDEX queue_intake ON queue (intake_id);

CREATE TABLE continuity (
  domain_id BIGINT NOT NULL PRIMARY KEY, state TEXT NOT NULL, since BIGINT NOT NULL,
  cause TEXT NOT NULL, actor TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '');

CREATE TABLE continuity_log (
  id {{id}}, domain_id BIGINT NOT NULL, at BIGINT NOT NULL, from_state TEXT NOT NULL,
  to_state TEXT NOT NULL, cause TEXT NOT NULL, actor TEXT NOT NULL, evidence TEXT NOT NULL);
CREATE INDEX continuity_log_domain ON continuity_log (domain_id, at);

CREATE TABLE questions (
  id {{id}}, domain_id BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
  evidence TEXT NOT NULL, answered_at BIGINT NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT '',
  answered_by TEXT NOT NULL DEFAULT '');
CREATE INDEX questions_open ON questions (domain_id) WHERE answered_at = 0;

CREATE TABLE probes (
  domain_id BIGINT NOT NULL, node TEXT NOT NULL, kind TEXT NOT NULL, at BIGINT NOT NULL,
  ok SMALLINT NOT NULL, took_us BIGINT NOT NULL, words TEXT NOT NULL,
  PRIMARY KEY (domain_id, node, kind)){{clustered}};

CREATE TABLE reports (
  id {{id}}, domain_id BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL,
  json TEXT NOT NULL, signature {{bytes}} NOT NULL);
CREATE INDEX reports_domain ON reports (domain_id, at);

CREATE TABLE settings (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
