-- The entries. `entry` is the whole entry in JSON. The other columns serve to find and to count entries.
CREATE TABLE veo_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    -- The last state that was written. The view veo_jobs also considers the lease.
    state text NOT NULL,
    -- Random text that identifies the call on its way. The process of the call renews `leased_until`.
    lease text,
    leased_until timestamptz,
    at timestamptz NOT NULL,
    job text,
    -- The job without its size. Only for a request with a size above 720p, and not for an upgrade.
    video text,
    target text,
    base_url text,
    prompt text NOT NULL,
    entry json NOT NULL,
    -- A key can be longer than an ordinary unique index allows.
    CONSTRAINT veo_entries_key EXCLUDE USING hash (key WITH =)
);

CREATE INDEX veo_entries_job ON veo_entries USING hash (job);
CREATE INDEX veo_entries_video ON veo_entries USING hash (video);
CREATE INDEX veo_entries_target ON veo_entries USING hash (target);
CREATE INDEX veo_entries_open ON veo_entries (id)
    WHERE state IN ('wanted', 'on_its_way', 'accepted', 'unknown', 'finished');

-- The paid calls of each entry, in order.
CREATE TABLE veo_attempts (
    -- The calls of an account have ids in the order in which they began.
    id bigint GENERATED ALWAYS AS IDENTITY,
    entry bigint NOT NULL REFERENCES veo_entries,
    number integer NOT NULL,
    account text NOT NULL,
    sent_at timestamptz NOT NULL,
    -- The time at which the outcome was first written down. A limit counts a call until some time after it.
    ended_at timestamptz,
    marker text,
    -- All calls of a kind have the same price.
    kind text,
    budget text,
    reserved double precision,
    credits double precision,
    is_rejected boolean NOT NULL,
    PRIMARY KEY (entry, number)
);

CREATE INDEX veo_attempts_account ON veo_attempts (account, id);
CREATE INDEX veo_attempts_marker ON veo_attempts USING hash (marker);
CREATE INDEX veo_attempts_budget ON veo_attempts USING hash (budget) WHERE NOT is_rejected;

-- A transaction that permits a paid call locks its account, so limits and budgets hold for all machines.
CREATE TABLE veo_accounts (
    account text PRIMARY KEY,
    -- The end of a pause that the provider has asked for.
    not_before timestamptz NOT NULL
);

-- The highest price of each kind of call.
CREATE TABLE veo_prices (
    kind text PRIMARY KEY,
    account text NOT NULL,
    credits double precision NOT NULL
);

-- The credits by which the balance has fallen while a budget was in use.
CREATE TABLE veo_budgets (
    budget text PRIMARY KEY,
    fall double precision NOT NULL
);

-- The state of an entry after its lease: if the lease of a call on its way has ended, the outcome is unknown.
CREATE VIEW veo_jobs AS
SELECT
    id,
    key,
    CASE
        WHEN state = 'on_its_way' AND leased_until <= clock_timestamp() THEN 'unknown'
        ELSE state
    END AS state,
    lease,
    at,
    job,
    target,
    base_url,
    prompt,
    entry
FROM veo_entries;

-- For people: the entries that are not done, failed or rejected.
CREATE VIEW veo_open AS
SELECT jobs.key, jobs.state, jobs.at, attempts.account, attempts.sent_at, jobs.job, jobs.target, jobs.prompt
FROM veo_jobs AS jobs
LEFT JOIN LATERAL (
    SELECT account, sent_at FROM veo_attempts WHERE entry = jobs.id ORDER BY number DESC LIMIT 1
) AS attempts ON true
WHERE jobs.state IN ('wanted', 'on_its_way', 'accepted', 'unknown', 'finished');

-- For people: the entries that may have been charged. Their calls are not sent again until somebody settles the entry.
CREATE VIEW veo_unknown AS
SELECT key, account, sent_at, prompt FROM veo_open WHERE state = 'unknown';

-- For people: the calls that were not rejected, by the day on which they were sent.
CREATE VIEW veo_spent AS
SELECT
    date_trunc('day', attempts.sent_at) AS day,
    attempts.account,
    count(*) AS calls,
    sum(coalesce(attempts.credits, prices.credits, attempts.reserved, 0)) AS credits,
    count(*) FILTER (WHERE attempts.credits IS NULL) AS calls_of_unknown_price
FROM veo_attempts AS attempts
LEFT JOIN veo_prices AS prices ON prices.kind = attempts.kind
WHERE NOT attempts.is_rejected
GROUP BY 1, 2
ORDER BY 1, 2;
