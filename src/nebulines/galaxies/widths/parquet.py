"""Continua and painted spectra as Parquet (extra ``parquet``: pyarrow), block by block.

One galaxy a row. ``flux`` is a list of one number a channel; the wavelengths [Angstrom] are a list
in a column ``wavelength``, or once for all rows a JSON list ``wavelength`` in the metadata of the
schema, beside ``medium`` (``air`` or ``vacuum``; vacuum where it is not said) and ``unit``. A
column ``redshift`` is read. All other columns go through to the output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nebulines.errors import InputError, UsageError
from nebulines.spectra import Spectra
from nebulines.spectral_axis import SpectralAxis

_OWN = ("flux", "wavelength")


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'nebulines[parquet]', or use FITS"
        ) from error
    return pyarrow


class ParquetContinua:
    """A Parquet file of continua.

    Args:
        path: the file.

    Raises:
        InputError: no Parquet file, no column ``flux``, or no wavelengths.
    """

    def __init__(self, path: str | Path) -> None:
        arrow = _pyarrow()
        try:
            self._file = arrow.parquet.ParquetFile(path)
        except (OSError, arrow.ArrowInvalid) as error:
            raise InputError(f"cannot read {path} as Parquet: {error}") from error
        self.path, self._schema = Path(path), self._file.schema_arrow
        stored = self._schema.metadata or {}
        self.facts = {
            key.decode(): value.decode() for key, value in stored.items() if key != b"ARROW:schema"
        }
        if "flux" not in self._schema.names:
            raise InputError(f"{path}: a column flux, a list in each row, is missing")
        if "wavelength" not in self._schema.names and "wavelength" not in self.facts:
            raise InputError(
                f"{path}: no wavelengths: give a column wavelength, a list in each row, or a JSON "
                "list in the metadata of the schema"
            )

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def n_channels(self) -> int:
        """Channels of the first row."""
        first = next(self._file.iter_batches(batch_size=1, columns=["flux"]), None)
        return 0 if first is None else len(first.column(0)[0])

    def blocks(self, rows: int) -> Iterator[tuple[Spectra, dict[str, Any]]]:
        """`Spectra` of so many rows, with the other columns as arrow arrays."""
        for batch in self._file.iter_batches(batch_size=rows):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            rest = {name: values for name, values in columns.items() if name not in _OWN}
            yield self._spectra(columns), rest

    def _spectra(self, columns: dict[str, Any]) -> Spectra:
        flux = _matrix(columns["flux"], self.path, "flux")
        if "wavelength" in columns:
            wavelength = _matrix(columns["wavelength"], self.path, "wavelength").astype(float)
            same = np.array_equal(wavelength, np.broadcast_to(wavelength[:1], wavelength.shape))
            wavelength = wavelength[0] if same else wavelength
        else:
            wavelength = self._shared_wavelength()
        medium: Any = self.facts.get("medium", "vacuum")
        if medium not in ("air", "vacuum"):
            raise InputError(f"{self.path}: medium must be air or vacuum, not {medium!r}")
        redshift = columns.get("redshift")
        return Spectra(
            flux,
            SpectralAxis(wavelength, "wavelength", medium),
            redshift=None if redshift is None else np.asarray(redshift, float),
            unit=self.facts.get("unit", ""),
        )

    def _shared_wavelength(self) -> np.ndarray:
        try:
            return np.asarray(json.loads(self.facts["wavelength"]), float)
        except ValueError as error:
            raise InputError(
                f"{self.path}: wavelength in the metadata must be a JSON list of numbers: {error}"
            ) from error


def _matrix(column: Any, path: Path, name: str) -> np.ndarray:
    """A column of lists of equal length as (n, channel)."""
    lengths = np.asarray(column.value_lengths())
    if len(set(lengths.tolist())) > 1 or column.null_count:
        raise InputError(f"{path}: {name} must be a list of the same length in every row")
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values).reshape(len(lengths), -1)


class PaintedParquet:
    """A Parquet file of painted spectra, written block by block.

    Args:
        path: the file.
        facts: words for the metadata of the schema.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts
        self._arrow = _pyarrow()
        self._writer: Any = None

    def add(self, spectra: Spectra, table: Any, rest: dict[str, Any]) -> None:
        """The next rows: spectra with lines, their table, and columns of the input."""
        arrow = self._arrow
        flux = np.asarray(spectra.flux, np.float32)
        columns = dict(rest)
        columns["flux"] = arrow.FixedSizeListArray.from_arrays(flux.ravel(), flux.shape[1])
        columns |= {name: np.asarray(table[name]) for name in table.colnames}
        wavelength = spectra.axis.wavelength()
        if wavelength.ndim == 2:
            columns["wavelength"] = arrow.FixedSizeListArray.from_arrays(
                wavelength.ravel(), wavelength.shape[1]
            )
        block = arrow.table(columns)
        if self._writer is None:
            facts = {**self.facts, "medium": spectra.axis.medium, "unit": spectra.unit}
            if wavelength.ndim == 1:
                facts["wavelength"] = json.dumps(wavelength.tolist())
            self._schema = block.schema.with_metadata({k: str(v) for k, v in facts.items()})
            self._writer = arrow.parquet.ParquetWriter(self.path, self._schema)
        self._writer.write_table(block.cast(self._schema))

    def finish(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def read_columns(path: str | Path) -> dict[str, np.ndarray]:
    """Columns of plain numbers of a Parquet table."""
    arrow = _pyarrow()
    try:
        table = arrow.parquet.read_table(path)
    except (OSError, arrow.ArrowInvalid) as error:
        raise InputError(f"cannot read {path} as Parquet: {error}") from error
    flat = [name for name in table.column_names if not arrow.types.is_nested(table[name].type)]
    return {name: table[name].to_numpy() for name in flat}
