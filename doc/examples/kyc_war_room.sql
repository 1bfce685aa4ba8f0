-- kyc_war_room.sql: a reviewer joins the group of a case when its documents are complete, and leaves when it is closed.
--
-- Triggers on the case's status do it, with the rights of the table's owner.  The application's role changes the status and
-- can neither see nor do anything in wawp.  A change that is rolled back asks for nothing, and one that is committed never fails
-- because of WhatsApp.
\set ON_ERROR_STOP on

CREATE TABLE kyc_case (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    group_jid text NOT NULL CHECK (wawp_is_group_jid(group_jid)),
    reviewer_phone text NOT NULL,
    status text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'docs_ok', 'closed'))
);

CREATE TRIGGER reviewer_comes AFTER UPDATE OF status ON kyc_case
    FOR EACH ROW WHEN (NEW.status = 'docs_ok' AND OLD.status <> 'docs_ok')
    EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=reviewer_phone', 'action=add',
        'reason=KYC case {id}: documents complete', 'instance=support');
CREATE TRIGGER reviewer_goes AFTER UPDATE OF status ON kyc_case
    FOR EACH ROW WHEN (NEW.status = 'closed' AND OLD.status <> 'closed')
    EXECUTE FUNCTION wawp_membership_trigger('group=group_jid', 'jid=reviewer_phone', 'action=remove',
        'reason=KYC case {id}: closed', 'instance=support');

-- What the application may do.
CREATE ROLE case_desk;
GRANT SELECT, INSERT, UPDATE (status) ON kyc_case TO case_desk;

SET ROLE case_desk;
INSERT INTO kyc_case (customer, group_jid, reviewer_phone) VALUES ('Acme', '120363012345678901@g.us', '+1 555 123 7101');

BEGIN;
UPDATE kyc_case SET status = 'docs_ok' WHERE customer = 'Acme';
ROLLBACK;                                       -- nobody is added

UPDATE kyc_case SET status = 'docs_ok' WHERE customer = 'Acme';
RESET ROLE;

-- Where it stands; wawp_explain() says in a sentence what happens next.
SELECT id, jid, action, state, outcome, reason, origin FROM wawp.membership_intent WHERE reason LIKE 'KYC case %';
