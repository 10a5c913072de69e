-- Batches: one row per delivery that became a batch, as the events tell it.
--
-- `rows` counts the first attempt of the latest reading. rows_loaded and rows_discarded count what attempts of that
-- reading brought and what was not withdrawn since; rows_open = the rest: in quarantine or on their way.
-- state: registered, staged, validated, loaded, held, rejected, duplicate. seconds: from registration to the last load.
WITH latest AS (
  SELECT batch_id, MAX(reading) AS reading, COUNT(DISTINCT attempt) AS attempts, MIN(time) AS staged_us
  FROM ${dataset}.events_batch_staged_v1
  GROUP BY batch_id
),
first_attempts AS (
  SELECT s.batch_id, s.`rows`, s.raw_rows, s.problem
  FROM ${dataset}.events_batch_staged_v1 AS s
  JOIN latest AS l ON l.batch_id = s.batch_id AND l.reading = s.reading
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY s.batch_id ORDER BY s.attempt) = 1
),
verdicts AS (
  SELECT v.batch_id, v.state, v.score, v.contract, v.attempt
  FROM ${dataset}.events_batch_validated_v1 AS v
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY v.batch_id ORDER BY v.attempt DESC, v.time DESC) = 1
),
standing AS (
  SELECT b.*
  FROM ${dataset}.events_batch_loaded_v1 AS b
  WHERE NOT EXISTS (
    SELECT 1
    FROM ${dataset}.events_batch_withdrawn_v1 AS w
    WHERE w.batch_id = b.batch_id
      AND ((w.reading > 0 AND b.reading <= w.reading) OR (w.reading = 0 AND w.attempt = b.attempt))
  )
),
loads AS (
  SELECT batch_id, MAX(`table`) AS `table`, SUM(rows_loaded) AS rows_loaded, SUM(rows_discarded) AS rows_discarded,
    MAX(time) AS loaded_us, COUNT(*) AS loads
  FROM standing
  GROUP BY batch_id
),
dropped AS (
  SELECT a.batch_id, SUM(a.rows_discarded) AS rows_discarded
  FROM ${dataset}.events_remedy_applied_v1 AS a
  JOIN latest AS l ON l.batch_id = a.batch_id
  JOIN ${dataset}.events_batch_staged_v1 AS s
    ON s.batch_id = a.batch_id AND s.attempt = a.attempt AND s.reading = l.reading
  LEFT JOIN ${dataset}.events_remedy_undone_v1 AS u ON u.remedy_id = a.remedy_id
  WHERE a.batch_id <> '' AND u.remedy_id IS NULL
  GROUP BY a.batch_id
)
SELECT
  d.batch_id,
  d.pipeline,
  d.uri,
  d.name,
  d.sha256,
  d.bytes,
  d.seq,
  d.duplicate_of,
  CASE
    WHEN d.duplicate_of <> '' THEN 'duplicate'
    WHEN o.loads IS NOT NULL THEN 'loaded'
    WHEN v.state IN ('held', 'rejected') THEN v.state
    WHEN v.state IS NOT NULL THEN 'validated'
    WHEN l.batch_id IS NOT NULL THEN 'staged'
    ELSE 'registered'
  END AS state,
  COALESCE(l.reading, 0) AS readings,
  COALESCE(l.attempts, 0) AS attempts,
  COALESCE(f.`rows`, 0) AS `rows`,
  COALESCE(f.raw_rows, 0) AS raw_rows,
  COALESCE(f.problem, '') AS problem,
  COALESCE(o.rows_loaded, 0) AS rows_loaded,
  COALESCE(o.rows_discarded, 0) + COALESCE(p.rows_discarded, 0) AS rows_discarded,
  COALESCE(f.`rows`, 0) - COALESCE(o.rows_loaded, 0) - COALESCE(o.rows_discarded, 0) - COALESCE(p.rows_discarded, 0)
    AS rows_open,
  COALESCE(o.`table`, '') AS `table`,
  v.score,
  COALESCE(v.contract, '') AS contract,
  TIMESTAMP_MICROS(d.time) AS registered_at,
  TIMESTAMP_MICROS(o.loaded_us) AS loaded_at,
  (o.loaded_us - d.time) / 1000000 AS seconds
FROM ${dataset}.events_delivery_registered_v1 AS d
LEFT JOIN latest AS l ON l.batch_id = d.batch_id
LEFT JOIN first_attempts AS f ON f.batch_id = d.batch_id
LEFT JOIN verdicts AS v ON v.batch_id = d.batch_id
LEFT JOIN loads AS o ON o.batch_id = d.batch_id
LEFT JOIN dropped AS p ON p.batch_id = d.batch_id
