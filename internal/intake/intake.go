// Package intake takes mail in: it decides who a message is for, notes the way it came and files it with everything that is owed.
package intake
