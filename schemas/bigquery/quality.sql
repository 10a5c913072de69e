-- Quality: one row per verdict (batch and attempt), with the score and its dimensions.
--
-- A dimension that the contract does not measure is null. share_passed is a number from 0 to 1, null without rows.
SELECT
  v.pipeline,
  v.batch_id,
  v.attempt,
  v.reading,
  v.state,
  v.contract,
  v.score,
  SAFE_CAST(JSON_VALUE(NULLIF(v.dimensions_json, ''), '$.accuracy') AS FLOAT64) AS accuracy,
  SAFE_CAST(JSON_VALUE(NULLIF(v.dimensions_json, ''), '$.completeness') AS FLOAT64) AS completeness,
  SAFE_CAST(JSON_VALUE(NULLIF(v.dimensions_json, ''), '$.consistency') AS FLOAT64) AS consistency,
  SAFE_CAST(JSON_VALUE(NULLIF(v.dimensions_json, ''), '$.timeliness') AS FLOAT64) AS timeliness,
  SAFE_CAST(JSON_VALUE(NULLIF(v.dimensions_json, ''), '$.uniqueness') AS FLOAT64) AS uniqueness,
  SAFE_CAST(JSON_VALUE(NULLIF(v.dimensions_json, ''), '$.validity') AS FLOAT64) AS validity,
  v.`rows`,
  v.rows_passed,
  v.rows_quarantined,
  v.rows_passed / NULLIF(v.`rows`, 0) AS share_passed,
  v.incidents,
  TIMESTAMP_MICROS(v.time) AS judged_at
FROM ${dataset}.events_batch_validated_v1 AS v
