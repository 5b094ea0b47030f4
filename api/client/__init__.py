"""The researcher's client: asks a Homeroom server over the wire, and knows nothing else of the house.

from api.client import Client

with Client("https://homeroom.district.example", token_file="study.token") as homeroom:
answer = homeroom.ask("SELECT COUNT(*) AS students FROM student_year WHERE school_year = 2025")
answer.to_pandas()
"""

from api.client.answers import Answer, Budget, Foretold, Reasons, Tables
from api.client.asking import Client
from api.client.errors import NotAnswered, Refused, ServerFailed

__all__ = ["Answer", "Budget", "Client", "Foretold", "NotAnswered", "Reasons", "Refused", "ServerFailed", "Tables"]
