#!/usr/bin/env python3
"""What transformers reads out of the labels of a config.json: the cases of crates/model/src/labels.rs and keys.rs, asked of it.

    pip install transformers==5.24.0
    python crates/checkpoint/tests/labels.py

Exits with 1 where transformers and the tables below differ. Where our reading is wider or narrower, the table says why."""
import json, os, sys, tempfile

from transformers import AutoConfig

BERT = dict(model_type='bert', vocab_size=19, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
            max_position_embeddings=8, type_vocab_size=1)


def read(**keys):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'config.json'), 'w') as file:
            json.dump(BERT | keys, file)
        try:
            return list(AutoConfig.from_pretrained(folder).id2label.values())
        except Exception as error:  # of whatever kind: it is refused
            return type(error).__name__


NAMED = [
    (dict(), ['LABEL_0', 'LABEL_1']),  # here: as many as the head has rows
    (dict(id2label=None, label2id=None), ['LABEL_0', 'LABEL_1']),
    (dict(num_labels=3), ['LABEL_0', 'LABEL_1', 'LABEL_2']),
    (dict(num_labels=2, id2label={'0': 'a', '1': 'b'}), ['a', 'b']),
    (dict(num_labels=3, id2label={'0': 'a', '1': 'b'}), ['LABEL_0', 'LABEL_1', 'LABEL_2']),
    (dict(id2label={'0': 0, '1': 1}, label2id={'0': 0, '1': 1}), [0, 1]),
    (dict(id2label={'0': False, '1': True}), [False, True]),
    (dict(id2label={'0': 1.5, '1': 2.0}), [1.5, 2.0]),
    (dict(id2label={'0': None, '1': None}), [None, None]),  # here: LABEL_0, LABEL_1
    (dict(id2label={'00': 'a', ' 1': 'b'}), ['a', 'b']),
    (dict(id2label={'0': 'a', '1': 'b'}, label2id={'a': '0', 'b': '1'}), ['a', 'b']),
    (dict(id2label={'0': 'a', '1': 'b'}, label2id={'a': 1, 'b': 0}), ['a', 'b']),
    (dict(label2id={'a': 0, 'b': 1, 'c': 2}), ['LABEL_0', 'LABEL_1']),
]
REFUSED = [
    dict(id2label=['a', 'b']), dict(id2label={'a': 'b'}), dict(num_labels='3'), dict(num_labels=3.0), dict(hidden_size=12.0),
    dict(hidden_size='12'), dict(hidden_size=None), dict(hidden_act=None), dict(layer_norm_eps=None), dict(layer_norm_eps='1e-12'),
    dict(type_vocab_size=None), dict(attention_probs_dropout_prob=None),
]
wrong = [(keys, want, got) for keys, want in NAMED if (got := read(**keys)) != want]
wrong += [(keys, 'an error', got) for keys in REFUSED if not isinstance(got := read(**keys), str)]
for keys, want, got in wrong:
    print(f'{keys}: expected {want}, got {got}')
print(f'{len(NAMED) + len(REFUSED)} cases, {len(wrong)} differ')
sys.exit(bool(wrong))
