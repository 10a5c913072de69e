-- Incidents: one row per incident, with its diagnosis and how it ended.
--
-- A report (incident.opened) belongs to the incident whose diagnosis it caused; `reports` counts them (a person's word
-- on a diagnosis is none). The diagnosis is the latest, the rows are those of the latest report. state: classified,
-- waiting (a person is asked), healing, or as it was closed: healed, escalated, dismissed.
WITH reports AS (
  SELECT c.incident_id, MIN(o.time) AS opened_us, COUNT(DISTINCT o.id) AS reports,
    MIN(c.time) AS classified_us
  FROM ${dataset}.events_incident_classified_v1 AS c
  LEFT JOIN ${dataset}.events_incident_opened_v1 AS o ON o.id = c.causation_id
  GROUP BY c.incident_id
),
diagnoses AS (
  SELECT *
  FROM ${dataset}.events_incident_classified_v1
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY incident_id ORDER BY time DESC, id) = 1
),
ends AS (
  SELECT *
  FROM ${dataset}.events_incident_closed_v1
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY incident_id ORDER BY time DESC, id) = 1
),
remedies AS (
  SELECT incident_id, COUNT(*) AS remedies, LOGICAL_OR(state = 'proposed') AS waiting
  FROM ${dataset}.remedies
  GROUP BY incident_id
)
SELECT
  d.incident_id,
  d.fingerprint,
  d.origin,
  d.pipeline,
  d.batch_id,
  d.uri,
  d.failure_class,
  d.cause,
  d.confidence,
  d.explanation,
  d.`check`,
  d.`column`,
  d.`rows`,
  d.rows_failed,
  d.service,
  CASE
    WHEN e.state IS NOT NULL THEN e.state
    WHEN m.waiting THEN 'waiting'
    WHEN m.remedies > 0 THEN 'healing'
    ELSE 'classified'
  END AS state,
  COALESCE(e.explanation, '') AS outcome,
  COALESCE(e.rows_healed, 0) AS rows_healed,
  COALESCE(e.rows_left, 0) AS rows_left,
  r.reports,
  COALESCE(m.remedies, 0) AS remedies,
  TIMESTAMP_MICROS(COALESCE(r.opened_us, r.classified_us)) AS opened_at,
  TIMESTAMP_MICROS(r.classified_us) AS classified_at,
  TIMESTAMP_MICROS(e.time) AS closed_at
FROM diagnoses AS d
JOIN reports AS r ON r.incident_id = d.incident_id
LEFT JOIN ends AS e ON e.incident_id = d.incident_id
LEFT JOIN remedies AS m ON m.incident_id = d.incident_id
