-- What continuity keeps besides version 1: the start of an outage, what a primary
-- last said of itself, and the return of a domain, which goes on after a restart.

ALTER TABLE continuity ADD COLUMN outage_at BIGINT NOT NULL DEFAULT 0;

ALTER TABLE probes ADD COLUMN well_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE probes ADD COLUMN banner TEXT NOT NULL DEFAULT '';

CREATE TABLE returns (
  id {{id}}, domain_id BIGINT NOT NULL, actor TEXT NOT NULL, rebuilt SMALLINT NOT NULL, gate TEXT NOT NULL,
  phase TEXT NOT NULL, phase_at BIGINT NOT NULL, drain_at BIGINT NOT NULL DEFAULT 0, rounds BIGINT NOT NULL DEFAULT 0, report_id BIGINT NOT NULL DEFAULT 0,
  differences BIGINT NOT NULL DEFAULT 0, refused BIGINT NOT NULL DEFAULT 0,
  began_at BIGINT NOT NULL, ended_at BIGINT NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX returns_open ON returns (domain_id) WHERE ended_at = 0;
CREATE INDEX returns_domain ON returns (domain_id, began_at);
