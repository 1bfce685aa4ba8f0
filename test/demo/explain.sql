-- Where the last one asked for stands; the demo's script repeats it.
SELECT wawp_explain(max(id)) FROM wawp.membership_intent;
