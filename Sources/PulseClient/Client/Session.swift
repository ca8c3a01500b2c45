// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseTransport

/// How far an open connection is with login and subscriptions. Guarded as its connection.
struct Session {
  var stage = Client.Stage.none
  var readyAt: Int64 = 0
  /// Bounds what is waited for.
  var timer: TimerID?
  var loginIsConfirmed = false
  /// Of the messages of the login, as their answers will have them; empty if no id is known.
  var loginIDs: [[UInt8]] = []
  /// What the login has sent, up to a size: it has the keys.
  var loginTexts: [UInt8] = []
  /// Without `login_confirm`: until then the server may still reject it.
  var loginUntil: Int64 = 0
  var nextSubscribeAt: Int64 = 0
  /// The server has told a successor that it is to end.
  var hasNotice = false
  /// Of a successor; those of the connection that serves are the client's.
  var subscriptions: SubscriptionSet?
}
