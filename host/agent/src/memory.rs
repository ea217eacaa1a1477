//! What an agent remembers of earlier runs.
