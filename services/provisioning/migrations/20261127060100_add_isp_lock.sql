-- A line can be bound to the internet provider it is first used from. None: the plan has no such option, and whatever the panel's
-- people have set stays.
ALTER TABLE service
    ADD COLUMN isp_lock boolean,
    ADD COLUMN line_isp_locked boolean NOT NULL DEFAULT false;
