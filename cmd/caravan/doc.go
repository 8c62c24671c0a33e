// Command caravan is the scheduler's command line, and the one binary that is
// also its server and agent.
//
// Each file holds one command, or a few that belong together, as a constructor
// that is listed in newRootCmd. A command gets a session, through which it
// reaches everything outside the program (streams, terminal, clock, signals,
// servers), asks the API, and hands the answer to a renderer in one of the
// packages under internal. Commands hold no state between calls.
//
// Exit codes: 0 done; 1 failed; 2 wrong usage or an invalid job; 3 not found;
// 4 conflict with the current state; 5 no server could answer; 6 denied; 130
// left by Ctrl-C. "run" and "submit --wait" exit with the job's own code, and
// "exec" with its command's.
package main
