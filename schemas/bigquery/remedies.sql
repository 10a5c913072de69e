-- Remedies: one row per remedy, from the proposal to its verified end.
--
-- A remedy that the policy lets run alone is never proposed. state: proposed, approved, rejected, applied, verified,
-- failed, undone; a later one hides an earlier one. decided_by names the person, or says policy.
WITH ids AS (
  SELECT remedy_id FROM ${dataset}.events_remedy_proposed_v1
  UNION DISTINCT
  SELECT remedy_id FROM ${dataset}.events_remedy_applied_v1
),
decisions AS (
  SELECT *
  FROM ${dataset}.events_remedy_decided_v1
  WHERE decision IN ('approve', 'reject')
  QUALIFY ROW_NUMBER() OVER (PARTITION BY remedy_id ORDER BY time, id) = 1
),
proposals AS (
  SELECT *
  FROM ${dataset}.events_remedy_proposed_v1
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY remedy_id ORDER BY time DESC, id) = 1
),
applications AS (
  SELECT *
  FROM ${dataset}.events_remedy_applied_v1
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY remedy_id ORDER BY time DESC, id) = 1
),
outcomes AS (
  SELECT *
  FROM ${dataset}.events_remedy_verified_v1
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY remedy_id ORDER BY time DESC, id) = 1
),
undone AS (
  SELECT *
  FROM ${dataset}.events_remedy_undone_v1
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY remedy_id ORDER BY time DESC, id) = 1
)
SELECT
  i.remedy_id,
  COALESCE(a.incident_id, p.incident_id) AS incident_id,
  COALESCE(a.remedy, p.remedy) AS remedy,
  COALESCE(o.cause, '') AS cause,
  COALESCE(a.tier, p.tier) AS tier,
  COALESCE(a.pipeline, p.pipeline) AS pipeline,
  COALESCE(a.batch_id, p.batch_id) AS batch_id,
  COALESCE(a.attempt, 0) AS attempt,
  CASE
    WHEN u.remedy_id IS NOT NULL THEN 'undone'
    WHEN o.remedy_id IS NOT NULL THEN o.state
    WHEN a.remedy_id IS NOT NULL THEN 'applied'
    WHEN d.decision = 'approve' THEN 'approved'
    WHEN d.decision = 'reject' THEN 'rejected'
    ELSE 'proposed'
  END AS state,
  CASE WHEN d.remedy_id IS NOT NULL THEN d.`by` ELSE COALESCE(a.decided_by, '') END AS decided_by,
  COALESCE(a.plan, p.plan) AS plan,
  COALESCE(p.reason, '') AS proposed_because,
  p.p_cause,
  p.p_success,
  COALESCE(a.`rows`, p.`rows`) AS `rows`,
  COALESCE(a.cells_changed, 0) AS cells_changed,
  COALESCE(a.rows_discarded, 0) AS rows_discarded,
  COALESCE(o.rows_healed, 0) AS rows_healed,
  COALESCE(o.rows_not_healed, 0) AS rows_not_healed,
  TIMESTAMP_MICROS(p.time) AS proposed_at,
  TIMESTAMP_MICROS(d.time) AS decided_at,
  TIMESTAMP_MICROS(a.time) AS applied_at,
  TIMESTAMP_MICROS(o.time) AS verified_at,
  TIMESTAMP_MICROS(u.time) AS undone_at
FROM ids AS i
LEFT JOIN proposals AS p ON p.remedy_id = i.remedy_id
LEFT JOIN decisions AS d ON d.remedy_id = i.remedy_id
LEFT JOIN applications AS a ON a.remedy_id = i.remedy_id
LEFT JOIN outcomes AS o ON o.remedy_id = i.remedy_id
LEFT JOIN undone AS u ON u.remedy_id = i.remedy_id
