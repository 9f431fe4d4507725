CREATE OR REPLACE VIEW "$table" AS
SELECT row.* EXCLUDE (filename)
FROM read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true) AS row
-- Until compaction has cleared its originals away, a diff lies in several files; the least compacted one is shown.
-- DuckDB lists the files above before those below: one that is compacted, or cleared away, in between is not missed.
SEMI JOIN (
  SELECT project, dt, run_id, diff_id,
    min_by(filename, (regexp_extract(parse_filename(filename), '$compact', 1), filename)) AS filename
  FROM (
    SELECT DISTINCT filename, project, dt, run_id, diff_id
    FROM read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true)
    $marked
  ) AS present
  GROUP BY project, dt, run_id, diff_id
) AS chosen USING (filename, project, dt, run_id, diff_id);
