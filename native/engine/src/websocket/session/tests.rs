mod closing;
mod faults;
mod messages;
mod timing;
