-- Time to repair: one row per closed incident, with the seconds from its first report to diagnosis, remedy and end.
--
-- by_itself: healed, and no person decided about any of its remedies. Group by failure_class or pipeline for the mean.
WITH remedies AS (
  SELECT incident_id, MIN(applied_at) AS applied_at,
    LOGICAL_OR(decided_by NOT IN ('', 'policy')) AS decided_by_person
  FROM ${dataset}.remedies
  GROUP BY incident_id
)
SELECT
  i.incident_id,
  i.pipeline,
  i.batch_id,
  i.origin,
  i.failure_class,
  i.cause,
  i.state,
  i.state = 'healed' AND NOT COALESCE(r.decided_by_person, FALSE) AS by_itself,
  i.rows_healed,
  i.rows_left,
  i.opened_at,
  i.closed_at,
  TIMESTAMP_DIFF(i.classified_at, i.opened_at, MICROSECOND) / 1000000 AS seconds_to_diagnosis,
  TIMESTAMP_DIFF(r.applied_at, i.opened_at, MICROSECOND) / 1000000 AS seconds_to_remedy,
  TIMESTAMP_DIFF(i.closed_at, i.opened_at, MICROSECOND) / 1000000 AS seconds_to_repair
FROM ${dataset}.incidents AS i
LEFT JOIN remedies AS r ON r.incident_id = i.incident_id
WHERE i.closed_at IS NOT NULL
