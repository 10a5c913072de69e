-- Metrics: one row per pipeline and day (UTC, of registration): throughput, volume and cost.
--
-- rows_per_second = rows loaded / seconds in which batches were on their way (from registration to the last load; the
-- time of batches that overlap counts once each). cost = bytes delivered at ${price_per_tib} a TiB, the price that the
-- deployment states; bytes that queries scan later are billed apart.
SELECT
  b.pipeline,
  DATE(b.registered_at) AS day,
  COUNT(*) AS batches,
  COUNTIF(b.state = 'duplicate') AS batches_duplicate,
  COUNTIF(b.state IN ('held', 'rejected')) AS batches_held,
  SUM(b.`rows`) AS `rows`,
  SUM(b.rows_loaded) AS rows_loaded,
  SUM(b.rows_discarded) AS rows_discarded,
  SUM(b.rows_open) AS rows_open,
  SUM(b.bytes) AS bytes,
  SUM(b.seconds) AS seconds,
  SUM(b.rows_loaded) / NULLIF(SUM(b.seconds), 0) AS rows_per_second,
  SUM(b.bytes) / 1099511627776 * ${price_per_tib} AS cost
FROM ${dataset}.batches AS b
GROUP BY b.pipeline, day
