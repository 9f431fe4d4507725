CREATE OR REPLACE VIEW "$table" AS
SELECT row.* EXCLUDE (filename)
FROM read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true) AS row
-- Until compaction has cleared its originals away, a diff lies in several files; the least compacted one is shown.
-- DuckDB lists the files above before those below: one that is compacted, or cleared away, in between is not missed.
SEMI JOIN (
  SELECT run_id, diff_id, min_by(filename, (regexp_matches(parse_filename(filename), '$compact'), filename)) AS filename
  FROM (
    SELECT project, dt, run_id, diff_id, filename
    FROM (
      -- A file is of one project and one day.
      SELECT filename, run_id, diff_id, any_value(project) AS project, any_value(dt) AS dt
      FROM read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true)
      GROUP BY filename, run_id, diff_id
    ) AS stored
    $marked
  ) AS present
  GROUP BY project, dt, run_id, diff_id
) AS chosen USING (filename, run_id, diff_id);
