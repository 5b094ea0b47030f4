"""The faces of Homeroom: what a person or a program outside talks to."""
