-- Repairs: one row per applied remedy that changed cells or dropped rows, and the columns it touched.
--
-- The cells themselves (row, column, old, new) are not in any event: they stand in the file repairs/BATCH/aATTEMPT/ of
-- the object store. in_force is false when the remedy failed verification or was undone.
SELECT
  r.remedy_id,
  r.incident_id,
  r.pipeline,
  r.batch_id,
  r.attempt,
  r.remedy,
  r.decided_by,
  a.`columns`,
  r.cells_changed,
  r.rows_discarded,
  r.rows_healed,
  r.rows_not_healed,
  r.state,
  r.state IN ('applied', 'verified') AS in_force,
  r.applied_at
FROM ${dataset}.remedies AS r
JOIN (
  SELECT remedy_id, `columns`
  FROM ${dataset}.events_remedy_applied_v1
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY remedy_id ORDER BY time DESC, id) = 1
) AS a ON a.remedy_id = r.remedy_id
WHERE r.cells_changed > 0 OR r.rows_discarded > 0
