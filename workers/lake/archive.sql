CREATE OR REPLACE $kind "$table" AS
SELECT * FROM (
SELECT row.* EXCLUDE (filename)
-- DuckDB lists the files of what comes first first: a file that cuts others off is always among those that are read.
FROM (
  SELECT filename, coalesce(max(last) OVER before, -1) AS after
  FROM (
    SELECT
      file AS filename,
      regexp_extract(file, '$name', 1) AS series,
      regexp_extract(file, '$name', 2)::BIGINT AS first,
      regexp_extract(file, '$name', 3)::BIGINT AS last
    FROM glob($files)
    WHERE regexp_matches(file, '$name')
  ) AS stored
  -- Of the files that hold an offset the first counts, as in workers/lake/ranges.py.
  WINDOW before AS (
    PARTITION BY series ORDER BY first, last DESC, filename ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  )
) AS chosen
JOIN read_parquet($files, union_by_name = true, hive_partitioning = false, filename = true) AS row
ON row.filename = chosen.filename AND row."offset" > chosen.after
$once
) $wanted;
