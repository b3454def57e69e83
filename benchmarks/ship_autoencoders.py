"""Make the shipped weights of the paper's autoencoders of finished trainings.

    for n in 2 4 6 10; do for k in ae vae; do
        nebulines train $k-$n --config benchmarks/paper_autoencoders.toml -o networks
    done; done
    python -m benchmarks.ship_autoencoders networks

keeps them in half precision, 1.7 MB each; the score in the card is that of what was kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    """Halve, judge, write."""
    from nebulines.galaxies.denoising.scores import score_reconstruction
    from nebulines.galaxies.denoising.tasks import paper_sets
    from nebulines.networks.weights import FOLDER, load, read_pretrained, save
    from nebulines.reports.denoising.bench import AUTOENCODERS
    from nebulines.runtime import configure

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    configure()
    test = paper_sets(0)[2]
    for name in AUTOENCODERS:
        trained = load(str(options.run / f"{name}.safetensors"))
        path = options.out / f"{name}.safetensors"
        save(path, trained.network, trained.card, half=True)
        scores = score_reconstruction(read_pretrained(path).network, test)
        scores["mse_before_half_precision"] = trained.card["scores"]["mse"]
        command = f"{trained.card['trained_with']['command']} --config paper_autoencoders.toml"
        about = trained.card["trained_with"] | {
            "command": command,
            "afterwards": "python -m benchmarks.ship_autoencoders networks",
        }
        save(path, trained.network, trained.card | {"trained_with": about, "scores": scores},
             half=True)  # fmt: skip
        print(name, scores)


if __name__ == "__main__":
    main()
