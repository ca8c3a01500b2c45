// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Takes the messages of a client in the place of its queue, on the client's loop. Its functions are called with the
/// client's lock held, and do not call the client.
open class MessageTap: @unchecked Sendable {  // subclasses say what guards them
  public init() {}

  /// Valid only during the call.
  open func take(_ payload: UnsafeRawBufferPointer, receivedAt: Int64) {}
  /// So many messages are missing before the next one; -1 for unknown. `isOfAny`: of whatever key, else of that one's.
  open func missed(_ count: Int64, isOfAny: Bool) {}
  /// Nothing comes any more, until something does, and why.
  open func silenced(_ cause: String) {}
  /// The client is being freed: nothing more will come.
  open func ended() {}
}
