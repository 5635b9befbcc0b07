"""Asks a collection's server questions, answers them from the chunks found, with and without KV from Larder.

    python -m larder.roundtrip --server 127.0.0.1:7614 --collection manual "How do I store root vegetables?"

For each question: the first answer computes its chunks' KV and stores it; then the same chunks come in a new
order, once without Larder and once with it. `repair` tokens of each chunk are computed again in their new place.
Chunks are computed behind the preamble, so the one that follows it is exact; see larder.node on contexts.
"""
import argparse

from threadpoolctl import threadpool_limits

import larder
from larder import smollm2
from larder.node import CONTEXTS, Node, PromptChunk, compare


def parser():
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("questions", nargs="+")
    out.add_argument("--server", default="127.0.0.1:7614")
    out.add_argument("--collection", required=True)
    out.add_argument("--chunks", type=int, default=3, help="of a prompt (default 3)")
    out.add_argument("--new-tokens", type=int, default=24)
    out.add_argument("--repair", type=int, default=16)
    out.add_argument("--context", choices=CONTEXTS, default="prefix")
    out.add_argument("--threads", type=int, default=1,
                     help="of matrix products; more than there are idle cores is very slow (default 1)")
    return out


def retrieve(client, chat, collection, question, count):
    return [PromptChunk(chat.chunk(hit.text), [larder.KvOwner(collection, hit.document_id, hit.ordinal)])
            for hit in client.search(collection, question, k=count).hits]


def ask(node, chat, chunks, question, options):
    """(without, with) Larder in the new order, after a first answer in the old one."""
    preamble, tokens = PromptChunk(chat.preamble()), chat.question(question)
    node.answer([preamble, *chunks], tokens, 1, chat.end_tokens)
    prompt = [preamble, *reversed(chunks)]
    plain = node.recompute(prompt, tokens, options.new_tokens, chat.end_tokens)
    return plain, node.answer(prompt, tokens, options.new_tokens, chat.end_tokens, repair=options.repair)


def report(chat, question, plain, reused):
    agreement = compare(plain, reused)
    print(f"\n>> {question}\n")
    print(f"{'':16}{'tokens prefilled':>18}{'time to first token':>22}   answer")
    for name, answer in (("without Larder", plain), ("with Larder", reused)):
        text = chat.decode(answer.tokens).replace("\n", " ")
        tokens = f"{answer.prefilled_tokens:>11} of {answer.prompt_tokens:<4}"
        print(f"{name:16}{tokens}{answer.first_token_seconds:>20.2f} s   {text}")
    print(f"next token's distribution: KL {agreement.divergence:.3f} nats; "
          f"answers {'agree' if agreement.same_tokens else 'differ'}")


def same_place(node, chat, chunks, question):
    """The preamble and a chunk where their KV was computed: nothing may change."""
    prompt, tokens = [PromptChunk(chat.preamble()), chunks[0]], chat.question(question)
    agreement = compare(node.recompute(prompt, tokens, 1), node.answer(prompt, tokens, 1))
    print(f"the same chunk in the same place: logits differ by {agreement.logit_difference:g}")


def summary(pairs):
    plain, reused = zip(*pairs)
    before, after = (sum(answer.first_token_seconds for answer in answers) for answers in (plain, reused))
    print(f"\nin all: {sum(a.prefilled_tokens for a in reused)} of {sum(a.prefilled_tokens for a in plain)} tokens "
          f"prefilled, first tokens {before / after:.1f} times sooner, "
          f"{sum(compare(*pair).same_tokens for pair in pairs)} of {len(pairs)} answers the same")


def main():
    options = parser().parse_args()
    chat = smollm2.load()
    with threadpool_limits(options.threads), larder.Client(options.server) as client:
        pairs = []
        node = Node(chat.model, client.kv, chat.profile, context=options.context)
        for question in options.questions:
            chunks = retrieve(client, chat, options.collection, question, options.chunks)
            pairs.append(ask(node, chat, chunks, question, options))
            report(chat, question, *pairs[-1])
        summary(pairs)
        same_place(node, chat, chunks, question)


if __name__ == "__main__":
    main()
