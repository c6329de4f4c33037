//! Sessions against each other over model logs, and against hostile frames.

mod flow;
mod forks;
mod hostile;
mod live;
mod membership;
mod model;
mod net;
mod parts;
mod presence;
mod random;
mod resume;
mod timing;
mod vectors;
