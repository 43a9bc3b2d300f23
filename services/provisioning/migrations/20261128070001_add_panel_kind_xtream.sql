-- Xtream Codes v2 and Xtream UI panels.
ALTER TABLE panel
    DROP CONSTRAINT panel_driver_check,
    ADD CONSTRAINT panel_driver_check CHECK (driver IN ('xui', 'xui-reseller', 'xtream'));
