// SPDX-License-Identifier: Apache-2.0

/// What an `EventLoop` calls. Subclass and override what is used. (`open`: Swift has no narrower word that lets other
/// modules of the package subclass it.)
///
/// Calls come on the driver's thread, with no lock of the loop held; a handler takes its owner's lock itself. A call
/// may still be under way, or just beginning, on the driver's thread while another thread unregisters: the handler
/// must look at its own state under its own lock.
open class EventHandler: @unchecked Sendable {  // subclasses say what guards them
  public init() {}

  /// The descriptor has events. The system reports `hangup` even when neither reading nor writing is asked for, again
  /// and again, so unregister (or read to the end) when it is there.
  open func handle(_ ready: Readiness) {}
  /// A timer is due. It may have been cancelled, or planned anew, while this call waited for its owner's lock: whoever does that
  /// compares `timer` with the one it has.
  open func timerFired(_ tag: Int, _ timer: TimerID) {}
  /// What `EventLoop.post` sent.
  open func posted(_ tag: Int) {}
}
