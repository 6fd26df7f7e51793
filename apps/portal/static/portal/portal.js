// What every page of the portal runs.
