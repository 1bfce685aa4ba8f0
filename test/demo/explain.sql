-- The state of the last request; the demo's script repeats it.
SELECT wawp_explain(max(id)) FROM wawp.membership_intent;
