-- One row per event of one type: the view events_${event} over the table ${event}.
--
-- This file is made into one view per event type. ${event} is the type with underscores for dots, for example
-- batch_staged_v1; ${dataset} is the dataset of the history. A Pub/Sub subscription writes the tables (the event's
-- fields, and write_metadata's subscription_name, message_id, publish_time, attributes). It writes at least once, and
-- an event can be published more than once, so the first copy by publication stands for all.
SELECT *
FROM ${dataset}.${event}
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY publish_time, message_id) = 1
